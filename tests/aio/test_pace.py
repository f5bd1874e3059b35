"""As much at a time as leaves the loop to others."""

from __future__ import annotations

import asyncio
import time

import anyio

from aioelasticluster._aio.pace import FIRST, HELD, LEAST, Pace
from aioelasticluster._aio.tasks import task_group


async def at_once(pace: Pace, wish: int) -> int:
    """Return how many of a crowd go at the same time."""
    going = most = 0
    done = anyio.Event()

    async def go() -> None:
        nonlocal going, most
        async with pace.turn():
            going += 1
            most = max(most, going)
            await done.wait()
            going -= 1

    async with task_group() as group:
        for _ in range(wish):
            group.start_soon(go)
        for _ in range(5 * wish):
            await asyncio.sleep(0)
        done.set()
    return most


async def passed(pace: Pace, times: int) -> None:
    for _ in range(times):
        async with pace.turn():
            pass


async def test_more_go_while_the_turns_of_the_loop_are_short() -> None:
    pace = Pace(64)
    await passed(pace, 100)
    assert await at_once(pace, 200) == 64


async def test_never_more_go_than_are_allowed() -> None:
    assert await at_once(Pace(3), 20) == 3


async def test_few_go_while_the_turns_are_long() -> None:
    pace, busy = Pace(64), True

    async def hold() -> None:
        while busy:
            time.sleep(1.2 * HELD)  # noqa: ASYNC251 - it is what others suffer from
            await asyncio.sleep(0)

    async with task_group() as group:
        group.start_soon(hold)
        await passed(pace, FIRST)
        together = await at_once(pace, FIRST)
        busy = False
    assert together == LEAST


async def test_who_is_cancelled_while_waiting_takes_no_place() -> None:
    pace = Pace(1)
    async with pace.turn():
        with anyio.move_on_after(0.01):
            async with pace.turn():
                raise AssertionError
    assert await at_once(pace, 5) == 1
