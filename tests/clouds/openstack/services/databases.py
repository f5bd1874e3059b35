"""Lets the services' threads share sqlite files: nobody waits in vain for a lock."""

from __future__ import annotations

from typing import Any

_WRITES = "aioec_writes"


def prepare() -> None:
    """Change how databases are opened, and how transactions that write begin.

    One that begins as a reader and then wants to write fails at once where another
    has written in between; so writers say from the start what they are.
    """
    from oslo_db.sqlalchemy import enginefacade  # type: ignore[import-not-found]
    from sqlalchemy import event  # type: ignore[import-not-found, unused-ignore]
    from sqlalchemy.engine import (  # type: ignore[import-not-found, unused-ignore]
        Engine,
    )

    event.listen(Engine, "connect", _opened)
    event.listen(Engine, "before_cursor_execute", _begun, retval=True)
    factory = enginefacade._TransactionFactory
    make = factory._create_session

    def session(self: Any, mode: Any, bind: Any = None) -> Any:
        if bind is None and mode is enginefacade._WRITER:
            if not self._started:
                self._start()
            bind = self._writer_engine.execution_options(**{_WRITES: True})
        return make(self, mode, bind)

    factory._create_session = session


def _opened(connection: Any, record: object) -> None:
    if "sqlite3" in type(connection).__module__:
        for pragma in ("journal_mode=WAL", "synchronous=OFF", "busy_timeout=60000"):
            connection.execute(f"PRAGMA {pragma}")


def _begun(
    connection: Any, cursor: Any, statement: str, parameters: Any, *rest: object
) -> tuple[str, Any]:
    if statement == "BEGIN" and connection.get_execution_options().get(_WRITES):
        statement = "BEGIN IMMEDIATE"
    return statement, parameters
