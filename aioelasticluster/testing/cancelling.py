"""The ways in which users cancel, and work that is cancelled in each of them.

They are not alike: anyio's shields hold against the first one only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import anyio

#: Every cancellation test should run in all of these.
WAYS = (
    "anyio scope",
    "task.cancel",
    "task.cancel twice",
    "asyncio.timeout",
    "all tasks",  # as asyncio.run does at its end, and many a signal handler
)


async def cancelled(
    way: str, work: Coroutine[Any, Any, Any], *, after: float = 0.0
) -> bool:
    """Cancel work after so many seconds and see it end; tell whether it was cut off.

    False if work had ended before, or if it kept the cancellation to itself. What
    work raises of its own is raised.
    """
    loop = asyncio.get_running_loop()
    others = asyncio.all_tasks()
    cuts: list[Callable[[], object]] = []
    task = asyncio.create_task(_within(way, work, cuts))
    await asyncio.sleep(0)  # work has begun

    def cut() -> None:
        if not task.done():
            cuts[0]()
        if way == "all tasks":
            for other in asyncio.all_tasks() - others:
                other.cancel()

    timers = [
        loop.call_later(after + turn * 0.001, cut)
        for turn in range(2 if way == "task.cancel twice" else 1)
    ]
    await asyncio.wait({task})
    for timer in timers:
        timer.cancel()
    return task.cancelled() or task.result()


async def _within(
    way: str, work: Coroutine[Any, Any, Any], cuts: list[Callable[[], object]]
) -> bool:
    """Run work in what can be cancelled, and say how; return whether it was."""
    if way == "anyio scope":
        with anyio.CancelScope() as scope:
            cuts.append(scope.cancel)
            await work
        return scope.cancelled_caught

    if way == "asyncio.timeout":
        try:
            async with asyncio.timeout(None) as timeout:
                cuts.append(lambda: timeout.reschedule(0))
                await work
        except TimeoutError:
            return timeout.expired()

        return False

    task = asyncio.current_task()
    assert task is not None
    cuts.append(task.cancel)
    await work
    return False
