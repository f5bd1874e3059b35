"""A resource that its users share on one loop: the first opens, the last closes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Generic, Self, TypeVar, cast
from weakref import WeakKeyDictionary

from aioelasticluster._aio.finish import finish
from aioelasticluster._aio.loop_local import LoopLocal

T = TypeVar("T")

#: How long (seconds) opening or closing may go on after a cancellation.
PATIENCE = 30.0


class _Entry(Generic[T]):
    def __init__(self) -> None:
        self.users = 0
        self.lock = asyncio.Lock()
        self.manager: AbstractAsyncContextManager[T] | None = None
        self.value: T | None = None


class Shared(Generic[T]):
    """Opens a context manager on first use and closes it after the last.

    Each event loop has its own, so the same object serves one `asyncio.run` after
    another. The manager is entered and left in tasks of its own: it must not hold
    a cancel scope or a task group.
    """

    def __init__(self, factory: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._factory = factory
        self._entries: WeakKeyDictionary[asyncio.AbstractEventLoop, _Entry[T]] = (
            WeakKeyDictionary()
        )

    @property
    def users(self) -> int:
        """How many users there are on the running loop."""
        entry = self._entries.get(asyncio.get_running_loop())
        return entry.users if entry else 0

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[T]:
        """Share the resource for the block; a cancellation never leaves it open.

        Whoever finds it not open tries to open it: one user's failure to do so is
        not the next one's.
        """
        loop = asyncio.get_running_loop()
        entry = self._entries.get(loop)
        if entry is None:
            entry = self._entries[loop] = _Entry()
        entry.users += 1
        try:
            if entry.manager is None:
                await finish(self._open(entry), patience=PATIENCE)
            yield cast("T", entry.value)
        finally:
            entry.users -= 1
            if entry.users == 0:
                await finish(self._close(loop, entry), patience=PATIENCE)

    async def _open(self, entry: _Entry[T]) -> None:
        async with entry.lock:
            if entry.manager is None:
                manager = self._factory()
                entry.value = await manager.__aenter__()
                entry.manager = manager

    async def _close(self, loop: asyncio.AbstractEventLoop, entry: _Entry[T]) -> None:
        """Close, unless somebody has come meanwhile; who comes now waits for it."""
        async with entry.lock:
            if entry.users:
                return
            if entry.manager is not None:
                manager, entry.manager = entry.manager, None
                await manager.__aexit__(None, None, None)
            if not entry.users:
                self._entries.pop(loop, None)


class HeldInBlock:
    """Something with an `opened()` that an `async with` block holds; nests."""

    def opened(self) -> AbstractAsyncContextManager[None]:
        """Hold open what the coroutines need for the block."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        held = self.opened()
        await held.__aenter__()
        self._blocks().append(held)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._blocks().pop().__aexit__(kind, error, trace)

    def _blocks(self) -> list[AbstractAsyncContextManager[None]]:
        """Return this loop's blocks; adapters need not call our constructor."""
        blocks: LoopLocal[list[AbstractAsyncContextManager[None]]]
        blocks = self.__dict__.setdefault("_held_blocks", LoopLocal(list))
        return blocks.get()
