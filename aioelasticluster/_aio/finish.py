"""The one shield: work that a cancellation must not part from its record.

anyio's shields hold against anyio's scopes only; `Task.cancel()` and
`asyncio.timeout` go straight through them, and that is how users cancel. Shut-down
(`asyncio.run` at its end, many a signal handler) even cancels all tasks there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

import anyio

from aioelasticluster.errors import UnknownOutcomeError

T = TypeVar("T")


async def finish(work: Coroutine[Any, Any, T], *, patience: float) -> T:
    """Run work to its end even when cancelled, but no longer than patience (s).

    A cancellation is remembered and raised when the work has ended. When patience
    runs out the work is cancelled and `UnknownOutcomeError` is raised.
    """
    loop = asyncio.get_running_loop()
    task = hidden_task(work)
    deadline = loop.time() + patience
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        left = deadline - loop.time()
        if left <= 0:
            await _abandon(task)
            raise UnknownOutcomeError(
                f"gave up after {patience:.0f} s; what was under way may have happened"
            ) from cancelled
        try:
            # The anyio shield is needed too: without it a cancelled anyio scope
            # delivers its cancellation at every turn and this loop would spin.
            with anyio.CancelScope(shield=True):
                await asyncio.wait({task}, timeout=left)
        except asyncio.CancelledError as error:
            cancelled = cancelled or error
    if cancelled is not None:
        _seen(task)  # the cancellation is what is raised
        raise cancelled
    return task.result()


def hidden_task(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start a task that `asyncio.all_tasks` does not list.

    So who cancels all tasks cancels only those that wait for this one, and these see
    to its end. Await it or cancel it: nobody else will.
    """
    task = asyncio.get_running_loop().create_task(work)
    asyncio._unregister_task(task)  # documented, for other implementations of tasks
    return task


async def all_hidden(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do several things at once, each in a hidden task; all end before it returns.

    For work that is done under `finish`: who cancels all tasks does not cut it short.
    A cancellation of this one cancels them. Raises the first error when all have ended.
    """
    tasks = [hidden_task(work) for work in works]
    if not tasks:
        return
    try:
        await asyncio.wait(tasks)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=1.0)
        raise
    finally:
        for task in tasks:
            reveal(task)
            task.add_done_callback(_seen)
    for task in tasks:
        task.result()


def reveal(task: asyncio.Task[Any]) -> None:
    """List a hidden task again: nobody waits for it any more, so shut-down must."""
    if not task.done():
        asyncio._register_task(task)


async def _abandon(task: asyncio.Task[Any]) -> None:
    """Cancel a task and give it a second, so that it does not outlive its caller."""
    reveal(task)
    task.add_done_callback(_seen)
    task.cancel()
    deadline = task.get_loop().time() + 1.0
    while not task.done() and (left := deadline - task.get_loop().time()) > 0:
        try:
            with anyio.CancelScope(shield=True):
                await asyncio.wait({task}, timeout=left)
        except asyncio.CancelledError:
            pass  # the caller raises that the outcome is unknown, which says more


def _seen(task: asyncio.Task[Any]) -> None:
    """Mark a task's exception as seen: nobody is left who could raise it."""
    if not task.cancelled():
        task.exception()
