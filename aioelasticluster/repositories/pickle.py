"""A repository of one file a cluster, in the manner of ElastiCluster's storage folder.

The files are pickles of plain data. They are read by an unpickler that admits nothing
else: a pickle that names a class or a function, as every attack does, is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import ClassVar

from aioelasticluster._aio.blocking import Blocking
from aioelasticluster.errors import ConfigurationError
from aioelasticluster.model.names import check_cluster_name
from aioelasticluster.model.records import Change, ClusterRecord
from aioelasticluster.repositories.base import AbstractClusterRepository, Lease
from aioelasticluster.repositories.folder import LOCK_TIMEOUT, Folder
from aioelasticluster.repositories.leases import taken_or_given_back

#: How long (seconds) a call may take: longer than it waits for another process.
PATIENCE = LOCK_TIMEOUT + 30.0


class PickleRepository(AbstractClusterRepository):
    """Keeps each cluster in a file `<name>.pickle` that only its owner may read.

    The folder is made on first use. Files are replaced as a whole, so that a reader
    finds the old or the new record; writers of several processes take turns. Every
    transaction writes the whole record: SqliteRepository is faster for large ones.
    """

    adapter: ClassVar[str] = "pickle"

    def __init__(self, storage_dir: str | PathLike[str]) -> None:
        if not str(storage_dir):
            raise ConfigurationError(
                "storage_dir", "", "not a folder", "Name the folder for the files"
            )

        # Absolute from now on: the program may change its working directory.
        self.storage_dir = Path(storage_dir).expanduser().absolute()
        self._folder = Folder(self.storage_dir)
        self._blocking = Blocking(width=4, patience=PATIENCE)

    async def id(self) -> str:
        """Return the id, made with the folder."""
        return await self._blocking(self._folder.id)

    async def load(self, name: str) -> ClusterRecord:
        """Return a cluster's record; raise `ClusterNotFoundError`."""
        return await self._blocking(self._folder.load, name)

    async def load_all(self) -> Sequence[ClusterRecord]:
        """Return all records, by name."""
        return await self._blocking(self._folder.load_all)

    async def transaction(self, lease: Lease, change: Change) -> None:
        """Replace the cluster's file by one with the change."""
        await self._blocking(self._folder.write, lease, change)

    async def forget(self, lease: Lease) -> None:
        """Delete the record of `lease.name`; no record is success."""
        await self._blocking(self._folder.forget, lease)

    async def acquire(self, name: str, *, ttl: float) -> Lease:
        """Take the lease of a name; raise `ClusterBusyError`.

        Cancelled, it holds no lease.
        """
        check_cluster_name(name)
        take = self._blocking(self._folder.acquire, name, ttl)
        # Twice the patience: it may wait for a free thread first.
        return await taken_or_given_back(take, self.release, patience=2 * PATIENCE)

    async def renew(self, lease: Lease, *, ttl: float) -> Lease:
        """Return the lease with a later expiry; raise `LeaseLostError`."""
        return await self._blocking(self._folder.renew, lease, ttl)

    async def release(self, lease: Lease) -> None:
        """Give a lease back; one that was lost or released already is success."""
        await self._blocking(self._folder.release, lease)

    def __repr__(self) -> str:
        return f"<PickleRepository: {self.storage_dir}>"
