"""A repository in one SQLite file, shared by the processes of one host."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from aioelasticluster._aio.blocking import Blocking
from aioelasticluster._aio.clock import wall_clock
from aioelasticluster._aio.finish import finish
from aioelasticluster._aio.shared import Shared
from aioelasticluster.errors import (
    ClusterNotFoundError,
    ConfigurationError,
    RepositoryError,
)
from aioelasticluster.model.codec import (
    head_to_plain,
    node_to_plain,
    order_to_plain,
    record_from_plain,
)
from aioelasticluster.model.names import check_cluster_name
from aioelasticluster.model.records import Change, ClusterRecord
from aioelasticluster.repositories.base import AbstractClusterRepository, Lease
from aioelasticluster.repositories.database import (
    BUSY_TIMEOUT,
    Database,
    opened_database,
)
from aioelasticluster.repositories.leases import (
    check_held,
    granted,
    lease_from_plain,
    renewed,
    taken_or_given_back,
)

if TYPE_CHECKING:
    import sqlite3

#: How long (seconds) a write may take: longer than SQLite waits for another writer.
PATIENCE = BUSY_TIMEOUT + 30.0


class SqliteRepository(AbstractClusterRepository):
    """Keeps clusters in a SQLite file that only its owner may read.

    The file and its folder are made on first use. Every coroutine opens it where it
    is not open; `opened()` keeps it open, so that the coroutines of one loop share
    one connection. Raises `RepositoryError` if the file cannot be used.
    """

    adapter: ClassVar[str] = "sqlite"

    def __init__(self, path: str | PathLike[str]) -> None:
        if str(path) in ("", ":memory:"):
            raise ConfigurationError(
                "path", str(path), "not a file", "Use MemRepository() instead"
            )

        # Absolute from now on: the program may change its working directory.
        self.path = Path(path).expanduser().absolute()
        self._blocking = Blocking(width=2, patience=PATIENCE)
        self._database = Shared(self._open)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Keep the file open for the block; the last user on the loop closes it."""
        async with self._database():
            yield

    async def id(self) -> str:
        """Return the id, made with the file."""
        async with self._database() as database, database.reading():
            rows = await database.rows(
                "SELECT value FROM meta WHERE key = 'repository'"
            )
            return str(rows[0][0])

    async def load(self, name: str) -> ClusterRecord:
        """Return a cluster's record; raise `ClusterNotFoundError`."""
        records = await self._records("WHERE cluster = ?", name)
        if not records:
            raise ClusterNotFoundError(name)

        return records[0]

    async def load_all(self) -> Sequence[ClusterRecord]:
        """Return all records, by name."""
        return await self._records("")

    async def transaction(self, lease: Lease, change: Change) -> None:
        """Write a change in one SQLite transaction, even if cancelled meanwhile."""
        async with self._database() as database:
            await finish(_write(database, lease, change), patience=PATIENCE)

    async def forget(self, lease: Lease) -> None:
        """Delete the record of `lease.name`; no record is success."""
        async with self._database() as database:
            await finish(_forget(database, lease), patience=PATIENCE)

    async def acquire(self, name: str, *, ttl: float) -> Lease:
        """Take the lease of a name; raise `ClusterBusyError`.

        Cancelled, it holds no lease.
        """
        check_cluster_name(name)
        async with self._database() as database:
            take = self._acquire(database, name, ttl)
            return await taken_or_given_back(take, self.release, patience=PATIENCE)

    async def renew(self, lease: Lease, *, ttl: float) -> Lease:
        """Return the lease with a later expiry; raise `LeaseLostError`."""
        async with self._database() as database:
            return await finish(_renew(database, lease, ttl), patience=PATIENCE)

    async def release(self, lease: Lease) -> None:
        """Give a lease back; one that was lost or released already is success."""
        async with self._database() as database:
            await finish(_release(database, lease), patience=PATIENCE)

    def __repr__(self) -> str:
        return f"<SqliteRepository: {self.path}>"

    def _open(self) -> AbstractAsyncContextManager[Database]:
        return opened_database(self.path, self._blocking)

    async def _records(self, where: str, *values: str) -> list[ClusterRecord]:
        """Read records in one statement, which sees one moment of the database."""
        async with self._database() as database:
            async with database.reading():
                rows = await database.rows(
                    "SELECT cluster, part, body FROM parts "
                    f"{where} ORDER BY cluster, part, place",
                    *values,
                )
            # 1000 nodes take 30 ms to decode: too long for the event loop.
            return await self._blocking(_decoded, self.path, rows)

    async def _acquire(self, database: Database, name: str, ttl: float) -> Lease:
        async with database.writing():
            held = await _held(database, name)
            lease = await self._blocking(
                granted, name, held, fence=0, now=wall_clock(), ttl=ttl
            )
            await database.rows("DELETE FROM leases WHERE name = ?", name)
            fence = await database.insert(
                "INSERT INTO leases (name, holder, expires) VALUES (?, ?, ?)",
                name,
                lease.holder.encoded(),
                lease.expires,
            )
        return replace(lease, fence=fence)


async def _held(database: Database, name: str) -> Lease | None:
    rows = await database.rows(
        "SELECT name, fence, holder, expires FROM leases WHERE name = ?", name
    )
    if not rows:
        return None

    labels = ("name", "fence", "holder", "expires")
    return lease_from_plain(dict(zip(labels, rows[0], strict=True)))


async def _write(database: Database, lease: Lease, change: Change) -> None:
    name = lease.name
    async with database.writing():
        check_held(lease, await _held(database, name))
        if change.head is not None:
            await database.rows(
                "INSERT INTO clusters VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET body = excluded.body",
                name,
                json.dumps(head_to_plain(change.head)),
            )
        elif not await database.rows("SELECT 1 FROM clusters WHERE name = ?", name):
            change.applied(None)  # raises: the first change must carry the head

        if change.nodes:
            await database.each(
                "INSERT INTO nodes VALUES (?, ?, ?) "
                "ON CONFLICT (cluster, name) DO UPDATE SET body = excluded.body",
                ((name, n.name, json.dumps(node_to_plain(n))) for n in change.nodes),
            )
        if change.orders:
            await database.each(
                "INSERT INTO orders VALUES (?, ?, ?) "
                "ON CONFLICT (cluster, token) DO UPDATE SET body = excluded.body",
                ((name, o.token, json.dumps(order_to_plain(o))) for o in change.orders),
            )
        if change.removed_nodes:
            await database.each(
                "DELETE FROM nodes WHERE cluster = ? AND name = ?",
                ((name, node) for node in change.removed_nodes),
            )


async def _forget(database: Database, lease: Lease) -> None:
    async with database.writing():
        check_held(lease, await _held(database, lease.name))
        await database.rows("DELETE FROM clusters WHERE name = ?", lease.name)


async def _renew(database: Database, lease: Lease, ttl: float) -> Lease:
    async with database.writing():
        held = await _held(database, lease.name)
        later = renewed(lease, held, now=wall_clock(), ttl=ttl)
        await database.rows(
            "UPDATE leases SET expires = ? WHERE fence = ?", later.expires, later.fence
        )
        return later


async def _release(database: Database, lease: Lease) -> None:
    async with database.writing():
        await database.rows(
            "DELETE FROM leases WHERE name = ? AND fence = ?", lease.name, lease.fence
        )


def _decoded(path: Path, rows: Iterable[sqlite3.Row]) -> list[ClusterRecord]:
    """Read records from rows of (cluster, part, body), sorted by cluster."""
    clusters: dict[str, dict[str, list[Any]]] = {}
    for cluster, part, body in rows:
        parts = clusters.setdefault(cluster, {"head": [], "nodes": [], "orders": []})
        try:
            parts[part].append(json.loads(body))
        except ValueError as fault:
            raise RepositoryError(
                f"{path}: the record of cluster {cluster!r} is damaged: {fault}"
            ) from fault

    return [
        record_from_plain({**parts, "head": parts["head"][0]})
        for parts in clusters.values()
    ]
