"""Cancelling start at every step of the loop, in all the ways that users do.

Whatever the step: nothing is left unrecorded, no lease and no task stays behind,
and the next `stop` leaves nothing in the cloud.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import anyio
import pytest

from aioelasticluster.providers.faults import FaultPlan
from aioelasticluster.testing.virtual_time import VirtualTimeLoop
from tests.support import World

#: Far more than the steps of any start here.
ENDLESS = 100_000

Work = Callable[[], Awaitable[object]]


class SteppingLoop(VirtualTimeLoop):
    """Calls `strike` when it has made so many turns since it was armed."""

    left = ENDLESS
    strike: Callable[[], None] | None = None

    def _run_once(self) -> None:
        if self.strike is not None:
            self.left -= 1
            if self.left == 0:
                self.strike()
        super()._run_once()  # type: ignore[misc]  # of BaseEventLoop, not in typeshed


def arm(strike: Callable[[], None], turns: int) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteppingLoop)
    loop.strike, loop.left = strike, turns


def disarm() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteppingLoop)
    loop.strike = None


async def by_task(work: Work, turns: int) -> bool:
    """Cancel the task once; return whether it struck."""
    return await _by_task(work, turns, again=False)


async def by_task_twice(work: Work, turns: int) -> bool:
    """Cancel the task, and once more while it is busy ending."""
    return await _by_task(work, turns, again=True)


async def _by_task(work: Work, turns: int, *, again: bool) -> bool:
    async def run() -> None:
        await work()

    task = asyncio.create_task(run())

    def strike() -> None:
        task.cancel()

    def strike_twice() -> None:
        task.cancel()
        arm(strike, 2)

    arm(strike_twice if again else strike, turns)
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


async def by_timeout(work: Work, turns: int) -> bool:
    """Let an `asyncio.timeout` around it expire."""
    try:
        async with asyncio.timeout(None) as timeout:
            loop = asyncio.get_running_loop()
            arm(lambda: timeout.reschedule(loop.time()), turns)
            await work()
            disarm()
    except TimeoutError:
        return True
    return False


async def by_scope(work: Work, turns: int) -> bool:
    """Cancel an anyio scope around it."""
    with anyio.CancelScope() as scope:
        arm(scope.cancel, turns)
        await work()
    return scope.cancelled_caught


Way = Callable[[Work, int], Awaitable[bool]]
WAYS = pytest.mark.parametrize("way", [by_task, by_task_twice, by_timeout, by_scope])


async def cancelled_start(way: Way, turns: int, faults: FaultPlan) -> bool:
    """Cancel a start after so many turns; check what is left of it."""
    world = World()
    cluster = world.cluster(computes=2, faults=faults)
    struck = await way(cluster.start, turns)
    assert asyncio.all_tasks() == {asyncio.current_task()}, f"tasks left after {turns}"
    if struck and world.cloud.running:
        # It struck when all was done but the closing: the start is not undone.
        assert all(node.alive for node in cluster.get_all_nodes()), f"after {turns}"
    again = world.cluster(computes=2)
    await again.stop()
    assert world.cloud.running == [], f"lost after {turns}"
    assert world.cloud.key_pairs == {}, f"key pair left after {turns}"
    async with world.repository.opened():
        assert await world.repository.load_all() == []
    return struck


def cancelled_everywhere(way: Way, faults: FaultPlan) -> int:
    """Cancel at the first turn, the second … until start is through before."""
    for turns in range(1, ENDLESS):
        with asyncio.Runner(loop_factory=SteppingLoop) as runner:
            if not runner.run(cancelled_start(way, turns, faults)):
                return turns
    raise AssertionError("start never ended")


@WAYS
def test_a_start_cancelled_at_any_step_leaves_nothing_behind(way: Way) -> None:
    assert cancelled_everywhere(way, FaultPlan()) > 50


@WAYS
def test_a_start_on_a_bad_day_cancelled_at_any_step_leaves_nothing(way: Way) -> None:
    faults = FaultPlan(throttle=1, lost_answers=1, list_lag=1.0, boot_delay=3.0)
    assert cancelled_everywhere(way, faults) > 50


async def interrupted_then_repeated(way: Way, turns: int) -> bool:
    """Cancel a start that is to be kept; run the same program again."""
    world = World()
    cluster = world.cluster(computes=2)
    cluster.keep()
    struck = await way(cluster.start, turns)
    report = await world.cluster(computes=2).start()
    assert len(report.alive) == len(world.cloud.running) == 3, f"after {turns}"
    return struck


@WAYS
def test_what_a_cancelled_start_kept_is_completed_and_not_launched_again(
    way: Way,
) -> None:
    for turns in range(1, ENDLESS):
        with asyncio.Runner(loop_factory=SteppingLoop) as runner:
            if not runner.run(interrupted_then_repeated(way, turns)):
                return


async def cancelled_stop(way: Way, turns: int) -> bool:
    world = World()
    cluster = world.cluster(computes=2)
    await cluster.start()
    struck = await way(cluster.stop, turns)
    await world.cluster(computes=2).stop()
    assert world.cloud.running == []
    assert world.cloud.key_pairs == {}
    return struck


@WAYS
def test_a_stop_cancelled_at_any_step_is_completed_by_the_next(way: Way) -> None:
    for turns in range(1, ENDLESS):
        with asyncio.Runner(loop_factory=SteppingLoop) as runner:
            if not runner.run(cancelled_stop(way, turns)):
                return
