"""Tasks beside the caller's own: a group that reads well, and a companion."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

T = TypeVar("T")

#: How many things may begin in one turn of the loop: a thousand would hold it.
TURN = 20


@asynccontextmanager
async def task_group() -> AsyncIterator[TaskGroup]:
    """Open a task group whose only error comes out as itself, not in a group."""
    try:
        async with anyio.create_task_group() as group:
            yield group
    except BaseExceptionGroup as errors:
        if (only := _only_error(errors)) is None:
            raise
        raise only from only.__cause__


async def together(*works: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do several things at once; the first error ends the others and is raised."""
    faults: list[Exception] = []

    async def noted(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except Exception as fault:
            faults.append(fault)
            raise

    try:
        async with task_group() as group:
            await begin(group, (partial(noted, work) for work in works))
    except ExceptionGroup:  # what is in a thread fails after it is told to end, too
        raise faults[0] from faults[0].__cause__


async def each(
    items: Iterable[T],
    work: Callable[[T], Coroutine[Any, Any, None]],
    limiter: anyio.CapacityLimiter,
) -> None:
    """Do the same with each item, some at a time; the first error ends the rest."""

    async def bounded(item: T) -> None:
        async with limiter:
            await work(item)

    await together(*(partial(bounded, item) for item in items))


async def begin(
    group: TaskGroup, works: Iterable[Callable[[], Coroutine[Any, Any, None]]]
) -> None:
    """Start things in a group, `TURN` of them in each turn of the loop."""
    for number, work in enumerate(works, start=1):
        group.start_soon(work)
        if number % TURN == 0:
            await anyio.lowlevel.checkpoint()


def _only_error(errors: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """Return the one leaf of a group, None where there are more."""
    if len(errors.exceptions) > 1:
        return None
    first = errors.exceptions[0]
    return _only_error(first) if isinstance(first, BaseExceptionGroup) else first


@asynccontextmanager
async def accompanied(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run work beside the block, and end it with the block.

    If work fails, the block is interrupted and work's error is raised. It is a plain
    task on purpose: a cancelled anyio scope around the block would end work before
    the block's own clean-up, which may still need it.
    """
    host = asyncio.current_task()
    assert host is not None
    companion = asyncio.create_task(work)
    interrupted = False

    def interrupt(task: asyncio.Task[None]) -> None:
        nonlocal interrupted
        if not task.cancelled() and task.exception() is not None:
            interrupted = True
            host.cancel()

    companion.add_done_callback(interrupt)
    try:
        yield
    except asyncio.CancelledError:
        if not interrupted:
            raise
        host.uncancel()
    finally:
        companion.remove_done_callback(interrupt)
        companion.cancel()
        await _ended(companion)
    if interrupted:
        companion.result()


async def _ended(task: asyncio.Task[None]) -> None:
    """Wait for a cancelled task, whatever happens to us meanwhile."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            with anyio.CancelScope(shield=True):
                await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
