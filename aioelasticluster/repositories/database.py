"""One SQLite database: opened, checked, brought up to date, shared by one loop.

The schema is a list of migrations; a database says in `user_version` how many of
them it has had. An empty file has had none, so the first one makes the tables.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aioelasticluster._aio.blocking import Blocking
from aioelasticluster._aio.polling import backoff
from aioelasticluster.errors import RepositoryError

if TYPE_CHECKING:
    import sqlite3

    import aiosqlite

#: For how long (seconds) a statement waits for another process's transaction.
BUSY_TIMEOUT = 60.0

#: `application_id` of our databases ("aioe"): never write into a browser's history.
APPLICATION = 0x61696F65

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        f"PRAGMA application_id = {APPLICATION}",
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
        "INSERT INTO meta VALUES ('repository', lower(hex(randomblob(16))))",
        "CREATE TABLE clusters (name TEXT PRIMARY KEY, body TEXT NOT NULL)",
        """
        CREATE TABLE nodes (
            cluster TEXT NOT NULL REFERENCES clusters (name) ON DELETE CASCADE,
            name TEXT NOT NULL,
            body TEXT NOT NULL,
            UNIQUE (cluster, name)
        )
        """,
        """
        CREATE TABLE orders (
            cluster TEXT NOT NULL REFERENCES clusters (name) ON DELETE CASCADE,
            token TEXT NOT NULL,
            body TEXT NOT NULL,
            UNIQUE (cluster, token)
        )
        """,
        # AUTOINCREMENT never gives a number twice, not even a deleted row's.
        """
        CREATE TABLE leases (
            fence INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL UNIQUE,
            holder TEXT NOT NULL,
            expires REAL NOT NULL
        )
        """,
        """
        CREATE VIEW parts (cluster, part, place, body) AS
        SELECT name, 'head', 0, body FROM clusters
        UNION ALL SELECT cluster, 'nodes', rowid, body FROM nodes
        UNION ALL SELECT cluster, 'orders', rowid, body FROM orders
        """,
    ),
)

_REMEDIES = {
    "SQLITE_NOTADB": "it is not a SQLite database: choose another path",
    "SQLITE_CORRUPT": "it is damaged: restore a copy, or try `sqlite3 FILE .recover`",
    "SQLITE_BUSY": "another process kept it locked: try again",
    "SQLITE_LOCKED": "another process kept it locked: try again",
    "SQLITE_READONLY": "make the file and its folder writable for this user",
    "SQLITE_CANTOPEN": "make the file and its folder writable for this user",
    "SQLITE_FULL": "free some space on its disk",
}


class Database:
    """A connection that is used by one coroutine at a time."""

    def __init__(
        self, path: Path, connection: aiosqlite.Connection, blocking: Blocking
    ) -> None:
        self._path, self._connection = path, connection
        self._blocking = blocking
        self._lock = asyncio.Lock()
        self._file: tuple[int, int] | None = None

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Database]:
        """Have the connection for the block, outside of any transaction."""
        async with self._lock:
            with speaking_ours(self._path):
                # SQLite would go on with a deleted file, and lose all with it.
                if await self._blocking(_identity, self._path) != self._file:
                    raise RepositoryError(
                        f"{self._path} was deleted or replaced while it was open: "
                        "leave the block that keeps the repository open, begin anew"
                    )
                yield self

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Database]:
        """Write what the block writes, whole or, when it raises, not at all.

        The write lock is taken at once: two processes that both read first and
        then want to write would block each other.
        """
        async with self.reading():
            try:
                # In the try: a BEGIN whose caller is cancelled still runs.
                await self.rows("BEGIN IMMEDIATE")
                yield self
                await self._connection.commit()
            except BaseException:
                await self._connection.rollback()
                raise

    async def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Run one statement and return its rows."""
        return list(await self._connection.execute_fetchall(sql, values))

    async def each(self, sql: str, rows: Iterable[tuple[object, ...]]) -> None:
        """Run one statement for each row; rows are made in the database's thread."""
        async with self._connection.executemany(sql, rows):
            pass

    async def insert(self, sql: str, *values: object) -> int:
        """Insert a row and return its number."""
        (number,) = await self._connection.execute_insert(sql, values) or (0,)
        return int(number)

    async def prepare(self) -> None:
        """Refuse a database that is not ours or too new; bring an older one up."""
        await self._refuse_foreign()
        await self._turn_on_wal()
        self._file = await self._blocking(_identity, self._path)
        if await self._version() < len(MIGRATIONS):
            await self._migrate()
        if (version := await self._version()) > len(MIGRATIONS):
            raise RepositoryError(
                f"{self._path} has schema {version}, this version reads "
                f"{len(MIGRATIONS)}: use the version of aioelasticluster that wrote "
                "it, or a newer one"
            )

    async def _refuse_foreign(self) -> None:
        # Tables first: another process may be making them, and the id with them.
        tables = await self.rows("SELECT 1 FROM sqlite_master LIMIT 1")
        ((application,),) = await self.rows("PRAGMA application_id")
        if application != APPLICATION and (application or tables):
            raise RepositoryError(
                f"{self._path} is another program's database: choose another path"
            )

    async def _turn_on_wal(self) -> None:
        """Let readers and a writer not wait for each other; remembered in the file."""
        import sqlite3

        pauses = backoff(0.005, 0.2)
        deadline = asyncio.get_running_loop().time() + BUSY_TIMEOUT
        while True:
            try:
                await self.rows("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as fault:
                # SQLite does not wait by itself for this one: another process may
                # be opening the new file at the same moment.
                late = asyncio.get_running_loop().time() >= deadline
                if late or not _code(fault).startswith("SQLITE_BUSY"):
                    raise
            await asyncio.sleep(next(pauses))

    async def _version(self) -> int:
        ((version,),) = await self.rows("PRAGMA user_version")
        return int(version)

    async def _migrate(self) -> None:
        async with self.writing():
            # Asked again: another process may have migrated while we waited.
            done = await self._version()
            for number, migration in enumerate(MIGRATIONS[done:], start=done + 1):
                for statement in migration:
                    await self.rows(statement)
                await self.rows(f"PRAGMA user_version = {number}")


@asynccontextmanager
async def opened_database(path: Path, blocking: Blocking) -> AsyncIterator[Database]:
    """Open a database file, made if there is none, for this loop."""
    import aiosqlite

    with speaking_ours(path):
        await blocking(_create, path)
        async with aiosqlite.connect(
            path, timeout=BUSY_TIMEOUT, isolation_level=None
        ) as connection:
            await connection.execute_fetchall("PRAGMA foreign_keys = ON")
            database = Database(path, connection, blocking)
            await database.prepare()
            yield database


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one of the same name."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None

    return found.st_dev, found.st_ino


def _create(path: Path) -> None:
    """Make an empty file that only its owner may read, and its folder.

    Raises what SQLite raises if it cannot open the file: found out here, since the
    thread of an aiosqlite connection that fails to open may outlive the loop.
    """
    import sqlite3

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        # Not opened to look: closing it again would drop the locks that another
        # connection of this process holds on it.
        pass
    sqlite3.connect(path).close()


@contextmanager
def speaking_ours(path: Path) -> Iterator[None]:
    """Turn the faults of SQLite and of the file system into `RepositoryError`."""
    import sqlite3

    try:
        yield
    except (sqlite3.Error, OSError) as fault:
        code = _code(fault)
        remedies = [text for name, text in _REMEDIES.items() if code.startswith(name)]
        told = "; ".join([str(fault), *remedies])
        raise RepositoryError(f"{path} cannot be used: {told}") from fault


def _code(fault: BaseException) -> str:
    """Return SQLite's own name of a fault, such as `SQLITE_BUSY_SNAPSHOT`."""
    name: Any = getattr(fault, "sqlite_errorname", "")
    return str(name)
