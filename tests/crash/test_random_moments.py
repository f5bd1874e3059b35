"""A program is killed at random moments of a start; whoever comes next takes over.

The moments are spread over the time that an undisturbed start takes, and a little
more. Whatever the moment: ten seconds later nothing is left, or all is there.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Awaitable, Callable

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
    cluster = await scene.check_complete()
    await cluster.stop()
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


WAYS: tuple[Way, ...] = (stopped, run_again, cleaned_up)


async def crash(scene: Scene, way: Way, delay: float) -> None:
    """Kill a start so many seconds after it has begun, and clear up."""
    script = scene.script("start", recorded=way is not cleaned_up)
    async with scene.program(script) as program:
        await anyio.sleep(delay)
        await program.killed()
    await way(scene)


def moment(seed: str, number: int) -> float:
    """Draw the nth moment, as a fraction of the whole; they cover all of it."""
    return (number + random.Random(f"{seed}/{number}").random()) / MOMENTS


@pytest.mark.parametrize("number", range(MOMENTS))
async def test_a_start_killed_at_a_random_moment_loses_nothing(
    scene: Scene, undisturbed: float, seed: str, number: int
) -> None:
    delay = moment(seed, number) * undisturbed * SLACK
    print(f"AIOEC_SEED={seed}: killed after {delay:.3f} s of {undisturbed:.3f} s")
    await crash(scene, WAYS[number % len(WAYS)], delay)
