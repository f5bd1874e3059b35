"""A program on EC2 is killed as by the power: whoever comes next loses nothing.

The server says what there is. A crash is what it saw of a program that then was gone.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from aioelasticluster import MemRepository, find_orphans, terminate_orphans
from aioelasticluster.model.records import OrderState
from aioelasticluster.model.states import NodeState
from tests.clouds.ec2.clusters import alive, new_key, quicken
from tests.clouds.ec2.program import quick_provider
from tests.clouds.ec2.running import Ec2Endpoint
from tests.clouds.ec2.scene import Ec2Scene

#: Within how many seconds after a crash all must be in order again.
PROMISE = 20.0

#: How long (seconds) a start takes here, and a little more: the moments are in it.
SPAN = 1.6

#: How many random moments there are, and how many of them are for every commit.
MOMENTS, OFTEN = 25, 5


@pytest.fixture
def scene(
    ec2_hosts: Ec2Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Ec2Scene:
    """Give an empty scene, and do not wait long in it."""
    quicken(monkeypatch)
    ec2_hosts.behave(boot_seconds=0.3, stop_seconds=0.1)
    key = new_key(tmp_path)
    for ending in ("", ".pub"):
        shutil.copy2(f"{key}{ending}", tmp_path / f"id{ending}")
    return Ec2Scene(tmp_path, ec2=ec2_hosts)


async def completed(scene: Ec2Scene) -> None:
    """The same program runs again; then the cluster is stopped."""
    with anyio.fail_after(PROMISE):
        report = await scene.cluster().start()
    assert len(report.alive) == scene.computes
    cluster = await scene.check_complete()
    with anyio.fail_after(PROMISE):
        await cluster.stop()
    await scene.check_empty()


async def stopped(scene: Ec2Scene) -> None:
    """Another program stops the cluster."""
    with anyio.fail_after(PROMISE):
        # Killed before anything was recorded, there is nothing to be stopped.
        if await scene.known():
            await (await scene.stored()).stop()
    await scene.check_empty()


def launches(scene: Ec2Scene) -> int:
    """Return how many RunInstances there were."""
    return len(scene.ec2.requests("RunInstances"))


def tokens(scene: Ec2Scene) -> list[str]:
    """Return the token of each instance that there ever was."""
    return [one["token"] for one in scene.ec2.instances()]


@pytest.mark.parametrize("way", [completed, stopped])
async def test_a_launch_whose_answer_nobody_heard_is_found_and_not_repeated(
    scene: Ec2Scene, way: Callable[[Ec2Scene], Awaitable[None]]
) -> None:
    script = scene.script("start", at_launch={"latency": 1.0})
    await scene.killed_before_it_hears_of("RunInstances", script)
    (order,) = (await scene.record()).orders.values()
    assert order.state is OrderState.INTENDED
    scene.ec2.behave(latency=0.02)
    await way(scene)
    assert launches(scene) == 1
    assert tokens(scene) == [order.token] * scene.computes


async def test_a_launch_that_is_carried_out_after_its_sender_s_death_is_found(
    scene: Ec2Scene,
) -> None:
    scene.settle_window = 3.0
    strikes = {"before launch 1": "SIGKILL+0.4"}  # the request is out by then
    script = scene.script("start", strikes=strikes, at_launch={"latency": 2.0})
    assert await scene.run(script) == -signal.SIGKILL
    assert launches(scene) == 0
    (order,) = (await scene.record()).orders.values()
    scene.ec2.behave(latency=0.0)
    await completed(scene)
    assert launches(scene) == 1
    assert tokens(scene) == [order.token] * scene.computes


async def test_a_launch_that_was_answered_but_not_recorded_is_adopted(
    scene: Ec2Scene,
) -> None:
    await scene.struck("start", "after launch 1")
    assert set((await scene.recorded()).values()) == {""}
    launched = alive(scene.ec2)
    await scene.cluster().start()
    cluster = await scene.check_complete()
    assert alive(scene.ec2) == launched
    await cluster.stop()
    await scene.check_empty()
    assert launches(scene) == 1


async def test_nodes_whose_start_was_killed_while_they_booted_are_waited_for(
    scene: Ec2Scene,
) -> None:
    scene.ec2.behave(boot_seconds=1.5)
    await scene.struck("start", "after describe 1")
    launched = alive(scene.ec2)
    assert {node.state for node in (await scene.record()).nodes.values()} == {
        NodeState.BOOTING
    }
    report = await scene.cluster().start()
    assert len(report.alive) == scene.computes
    await scene.check_complete()
    assert alive(scene.ec2) == launched
    await (await scene.stored()).stop()
    await scene.check_empty()
    assert launches(scene) == 1


async def test_a_key_pair_that_was_imported_for_nothing_is_used_and_deleted(
    scene: Ec2Scene,
) -> None:
    await scene.struck("start", "after prepare 1")
    assert (launches(scene), len(scene.ec2.requests("ImportKeyPair"))) == (0, 1)
    await completed(scene)
    assert (launches(scene), len(scene.ec2.requests("ImportKeyPair"))) == (1, 1)


@pytest.mark.parametrize("point", ["before terminate 1", "after terminate 1"])
async def test_a_stop_that_was_killed_is_completed_by_the_next(
    scene: Ec2Scene, point: str
) -> None:
    await scene.cluster().start()
    await scene.struck("stop", point)
    assert await scene.known()
    await stopped(scene)
    assert not await scene.known()


async def cleaned_up(scene: Ec2Scene) -> None:
    """Only the killed program knew of the cluster; its instances are found by tags."""
    provider, existing = quick_provider(scene.ec2), alive(scene.ec2)
    orphans = await find_orphans(provider, MemRepository())
    assert {orphan.instance_id for orphan in orphans} == existing
    assert [orphan for orphan in orphans if orphan.foreign] == []
    with anyio.fail_after(PROMISE):
        await terminate_orphans(orphans)
    assert alive(scene.ec2) == set()


def cases() -> Iterator[Any]:
    """Yield moments and what is done after them, in turn; most are for a soak test."""
    ways = (completed, stopped, cleaned_up)
    for number in range(MOMENTS):
        often = number % (MOMENTS // OFTEN) == 0
        way = ways[number % len(ways)]
        yield pytest.param(
            number,
            way,
            marks=() if often else pytest.mark.soak,
            id=f"{number}-{way.__name__}",
        )


@pytest.mark.parametrize(("number", "way"), [*cases()])
async def test_a_start_killed_at_a_random_moment_loses_nothing(
    scene: Ec2Scene, number: int, way: Callable[[Ec2Scene], Awaitable[None]]
) -> None:
    draw = random.Random(f"{os.environ.get('AIOEC_SEED', '')} {number}")
    scene.ec2.behave(latency=0.05)
    script = scene.script("start", recorded=way is not cleaned_up)
    async with scene.program(script) as program:
        await anyio.sleep((number + draw.random()) / MOMENTS * SPAN)
        await program.killed()
    await way(scene)
    assert len(scene.ec2.instances()) <= scene.computes


async def test_another_repository_takes_what_is_recorded_for_somebody_else_s(
    scene: Ec2Scene,
) -> None:
    await scene.struck("start", "after launch 1")
    orphans = await find_orphans(quick_provider(scene.ec2), MemRepository())
    assert {orphan.instance_id for orphan in orphans} == alive(scene.ec2)
    assert all(orphan.foreign for orphan in orphans)
    ids = {orphan.cluster_id for orphan in orphans}
    await terminate_orphans(orphans, cluster_ids=ids)
    assert alive(scene.ec2) == set()
    await stopped(scene)
