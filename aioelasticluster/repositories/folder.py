"""The files of a PickleRepository: blocking work, done in threads.

`repository.json` holds the repository's id and the newest fence; `<name>.pickle` a
cluster's record; `<name>.lease` its lease, while somebody holds it.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from aioelasticluster.errors import (
    ClusterNotFoundError,
    ConfigurationError,
    RepositoryError,
)
from aioelasticluster.model.codec import record_from_plain, record_to_plain
from aioelasticluster.model.names import check_cluster_name
from aioelasticluster.model.records import Change, ClusterRecord
from aioelasticluster.repositories.base import Lease
from aioelasticluster.repositories.leases import (
    check_held,
    granted,
    lease_from_plain,
    lease_to_plain,
    renewed,
)
from aioelasticluster.repositories.plain_pickle import dump_plain, load_plain

#: For how long (seconds) a write waits for another process's write.
LOCK_TIMEOUT = 60.0

#: Larger files are not ours: 10,000 nodes take 8 MB.
LARGEST = 64 * 1024 * 1024


class Folder:
    """A folder of records; its methods block, any thread and process may call them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def id(self) -> str:
        """Return the repository's id, made with the folder."""
        if (known := self._identity()) is None:
            with self._writing():
                known = self._identity() or self._founded()
        return str(known["id"])

    def load(self, name: str) -> ClusterRecord:
        """Read a record; needs no lock, since files are replaced as a whole."""
        if (record := self._record(name)) is None:
            raise ClusterNotFoundError(name)

        return record

    def load_all(self) -> list[ClusterRecord]:
        """Read all records, by name.

        A file that cannot be read is an error, not left out: who cleans up would
        take the instances of that cluster for nobody's.
        """
        with speaking_ours(self._path):
            names = sorted(file.stem for file in self._path.glob("*.pickle"))
        # One may have been forgotten since.
        found = [self._record(name) for name in names]
        return [record for record in found if record is not None]

    def write(self, lease: Lease, change: Change) -> None:
        """Apply a change, fenced."""
        with self._writing():
            check_held(lease, self._lease(lease.name))
            record = change.applied(self._record(lease.name))
            data = dump_plain(record_to_plain(record))
            self._replace(f"{lease.name}.pickle", data)

    def forget(self, lease: Lease) -> None:
        """Delete a record, fenced."""
        with self._writing():
            check_held(lease, self._lease(lease.name))
            self._remove(f"{lease.name}.pickle")

    def acquire(self, name: str, ttl: float) -> Lease:
        """Grant the lease of a name under a fence that was never given before."""
        with self._writing():
            held = self._lease(name)
            known = self._identity() or self._founded()
            fence = 1 + max(int(known["fence"]), held.fence if held else 0)
            lease = granted(name, held, fence, now=time.time(), ttl=ttl)
            # The fence first: after a crash in between it is skipped, not reused.
            self._replace("repository.json", _json({**known, "fence": fence}))
            self._replace(f"{name}.lease", _json(lease_to_plain(lease)))
            return lease

    def renew(self, lease: Lease, ttl: float) -> Lease:
        """Write a later expiry."""
        with self._writing():
            held = self._lease(lease.name)
            later = renewed(lease, held, now=time.time(), ttl=ttl)
            self._replace(f"{lease.name}.lease", _json(lease_to_plain(later)))
            return later

    def release(self, lease: Lease) -> None:
        """Delete the lease unless it was lost."""
        with self._writing():
            held = self._lease(lease.name)
            if held is not None and held.fence == lease.fence:
                self._remove(f"{lease.name}.lease")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Be the only writer of the folder for the block."""
        with speaking_ours(self._path):
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self._path / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._lock(lock)
            with speaking_ours(self._path):
                yield
        finally:
            os.close(lock)  # and with it the lock

    def _lock(self, lock: int) -> None:
        deadline = time.monotonic() + LOCK_TIMEOUT
        while True:
            try:
                return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as fault:
                if time.monotonic() >= deadline:
                    raise RepositoryError(
                        f"{self._path} was locked by another process for "
                        f"{LOCK_TIMEOUT:.0f} s: try again"
                    ) from fault
            time.sleep(0.005)

    def _identity(self) -> dict[str, Any] | None:
        if (data := self._read("repository.json")) is None:
            return None

        known = self._parsed("repository.json", data)
        if not isinstance(known.get("id"), str) or not isinstance(
            known.get("fence"), int
        ):
            raise RepositoryError(f"{self._path}/repository.json is damaged")

        return known

    def _founded(self) -> dict[str, Any]:
        known = {"id": uuid4().hex, "fence": 0}
        self._replace("repository.json", _json(known))
        return known

    def _lease(self, name: str) -> Lease | None:
        check_cluster_name(name)
        file = f"{name}.lease"
        data = self._read(file)
        return None if data is None else lease_from_plain(self._parsed(file, data))

    def _record(self, name: str) -> ClusterRecord | None:
        try:
            check_cluster_name(name)  # else it could lead out of the folder
        except ConfigurationError:
            return None

        if (data := self._read(f"{name}.pickle")) is None:
            return None

        try:
            record = record_from_plain(load_plain(data))
        except RepositoryError as fault:
            raise RepositoryError(
                f"{self._path}/{name}.pickle cannot be read: {fault}"
            ) from fault

        if record.head.name != name:
            raise RepositoryError(
                f"{self._path}/{name}.pickle is the record of cluster "
                f"{record.head.name!r}: files must not be renamed or copied"
            )
        return record

    def _parsed(self, file: str, data: bytes) -> dict[str, Any]:
        try:
            return dict(json.loads(data))
        except (ValueError, TypeError) as fault:
            raise RepositoryError(f"{self._path}/{file} is damaged: {fault}") from fault

    def _read(self, file: str) -> bytes | None:
        """Return a file's content, None if there is none."""
        with speaking_ours(self._path):
            try:
                with open(self._path / file, "rb") as stream:
                    if os.fstat(stream.fileno()).st_size <= LARGEST:
                        return stream.read()
            except FileNotFoundError:
                return None

        raise RepositoryError(
            f"{self._path}/{file} is larger than {LARGEST >> 20} MiB: not ours"
        )

    def _replace(self, file: str, data: bytes) -> None:
        """Put a file in place as a whole, on disk when this returns."""
        # One name for all tries: a killed writer's remains are written over.
        fresh = self._path / f".{file}.new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with open(os.open(fresh, flags, 0o600), "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(fresh, self._path / file)
        self._sync()

    def _remove(self, file: str) -> None:
        (self._path / file).unlink(missing_ok=True)
        self._sync()

    def _sync(self) -> None:
        """Make sure that the folder's new names survive a power cut."""
        folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def speaking_ours(path: Path) -> Iterator[None]:
    """Turn the file system's faults into `RepositoryError`."""
    try:
        yield
    except OSError as fault:
        raise RepositoryError(
            f"the storage folder {path} cannot be used: {fault}"
        ) from fault


def _json(plain: dict[str, Any]) -> bytes:
    return json.dumps(plain).encode()
