"""The one bridge to blocking code: bounded threads which a cancelled caller waits for.

A thread cannot be stopped. Whoever leaves it behind does not know what it will still
do, so nobody leaves before it has ended or patience has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

from aioelasticluster._aio.finish import finish, hidden_task, reveal
from aioelasticluster._aio.loop_local import LoopLocal

P = ParamSpec("P")
T = TypeVar("T")


class Blocking:
    """Runs blocking calls in threads, never more than `width` at a time on one loop.

    The same object serves one loop after another.
    """

    def __init__(self, width: int, patience: float) -> None:
        self._patience = patience
        self._limiter = LoopLocal(lambda: CapacityLimiter(width))

    async def __call__(
        self, func: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return what the function returns in a thread, or raise what it raises.

        Cancelled while it waits for a free thread: it was never called. Cancelled
        later: its end is awaited. After `patience` seconds in the thread
        `UnknownOutcomeError` is raised; the thread keeps its place until it ends.
        """
        limiter, place = self._limiter.get(), object()
        await limiter.acquire_on_behalf_of(place)
        call = partial(func, *args, **kwargs)
        # The place is taken above, apart from the call: waiting for it must not
        # count as patience, and it must outlast a caller who has given up.
        thread = hidden_task(to_thread.run_sync(call, limiter=CapacityLimiter(1)))

        def ended(thread: asyncio.Task[T]) -> None:
            limiter.release_on_behalf_of(place)
            if not thread.cancelled():
                thread.exception()  # mark as seen: the caller may have given up

        thread.add_done_callback(ended)
        try:
            return await finish(_outcome(thread), patience=self._patience)
        finally:
            reveal(thread)


async def _outcome(thread: asyncio.Task[T]) -> T:
    """Wait for a thread; giving up on it does not touch it."""
    return await asyncio.shield(thread)
