"""A program is killed at random moments of a start; whoever comes next takes over.

The moments are spread over the time that an undisturbed start takes, and a little
more. Whatever the moment: ten seconds later nothing is left, or all is there.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest

from aioelasticluster import MemRepository, find_orphans, terminate_orphans
from tests.crash.scene import PROMISE, Scene

#: How many moments there are …
MOMENTS = 20

#: … up to this multiple of what an undisturbed start takes.
SLACK = 1.1

Way = Callable[[Scene], Awaitable[None]]


async def stopped(scene: Scene) -> None:
    """Another process opens the same repository and stops the cluster."""
    with anyio.fail_after(PROMISE):
        # Killed before anything was recorded, there is nothing to be stopped.
        if await scene.known():
            assert await scene.run(scene.script("stop")) == 0, scene.errors
    await scene.check_empty()


async def run_again(scene: Scene) -> None:
    """The same program runs again, in a new process."""
    with anyio.fail_after(PROMISE):
        assert await scene.run(scene.script("start")) == 0, scene.errors
    await (await scene.check_complete()).stop()
    await scene.check_empty()


async def cleaned_up(scene: Scene) -> None:
    """Only the killed program knew of the cluster; its instances are found by tags."""
    with anyio.fail_after(PROMISE):
        existing = {instance.id for instance in await scene.instances()}
        orphans = await find_orphans(scene.provider(), MemRepository())
        assert {orphan.instance_id for orphan in orphans} == existing
        assert [orphan for orphan in orphans if orphan.foreign] == []
        await terminate_orphans(orphans)
    if not existing:  # nothing bears the name of the cluster that a key was made for
        shutil.rmtree(scene.state / "keys", ignore_errors=True)
    await scene.check_empty()


def cases() -> Iterator[Any]:
    """Yield moments and ways: all of them in a soak test, else the ways in turn."""
    ways: tuple[Way, ...] = (stopped, run_again, cleaned_up)
    for number in range(MOMENTS):
        for index, way in enumerate(ways):
            often = number % len(ways) == index
            yield pytest.param(
                number,
                way,
                marks=() if often else pytest.mark.soak,
                id=f"{number}-{way.__name__}",
            )


@pytest.mark.parametrize(("number", "way"), [*cases()])
async def test_a_start_killed_at_a_random_moment_loses_nothing(
    scene: Scene, undisturbed: float, draw: random.Random, number: int, way: Way
) -> None:
    script = scene.script("start", recorded=way is not cleaned_up)
    async with scene.program(script) as program:
        await anyio.sleep((number + draw.random()) / MOMENTS * undisturbed * SLACK)
        await program.killed()
    await way(scene)
