"""A program on Compute Engine is killed as by the power: nothing is lost or doubled.

The server says what there is. A crash is what it saw of a program that then was gone.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from aioelasticluster import MemRepository, find_orphans, terminate_orphans
from aioelasticluster.model.records import OrderState
from aioelasticluster.model.states import NodeState
from tests.clouds.ec2.clusters import new_key
from tests.clouds.gce.clusters import alive, made, quicken
from tests.clouds.gce.running import GceEndpoint
from tests.clouds.gce.scene import GceScene

#: Within how many seconds after a crash all must be in order again.
PROMISE = 20.0

#: How long (seconds) a start takes here, and a little more: the moments are in it.
SPAN = 2.0

#: How many random moments there are, and how many of them are for every commit.
MOMENTS, OFTEN = 10, 3


@pytest.fixture
def scene(
    gce_hosts: GceEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> GceScene:
    """Give an empty scene, and do not wait long in it."""
    quicken(monkeypatch)
    gce_hosts.behave(boot_seconds=0.3, stop_seconds=0.1)
    key = new_key(tmp_path)
    for ending in ("", ".pub"):
        shutil.copy2(f"{key}{ending}", tmp_path / f"id{ending}")
    return GceScene(tmp_path, gce=gce_hosts)


async def completed(scene: GceScene) -> None:
    """The same program runs again; then the cluster is stopped."""
    with anyio.fail_after(PROMISE):
        report = await scene.cluster().start()
    assert len(report.alive) == scene.computes
    cluster = await scene.check_complete()
    with anyio.fail_after(PROMISE):
        await cluster.stop()
    await scene.check_empty()


async def stopped(scene: GceScene) -> None:
    """Another program stops the cluster."""
    with anyio.fail_after(PROMISE):
        # Killed before anything was recorded, there is nothing to be stopped.
        if await scene.known():
            await (await scene.stored()).stop()
    await scene.check_empty()


async def cleaned_up(scene: GceScene) -> None:
    """Only the killed program knew of the cluster; its instances are found by tags."""
    existing = alive(scene.gce)
    orphans = await find_orphans(scene.cloud(), MemRepository())
    assert {orphan.instance_id for orphan in orphans} == existing
    assert [orphan for orphan in orphans if orphan.foreign] == []
    with anyio.fail_after(PROMISE):
        await terminate_orphans(orphans)
    assert alive(scene.gce) == set()
    assert not existing or made(scene.gce) == {}


def launches(scene: GceScene) -> int:
    """Return how many bulk requests there were."""
    return len(scene.gce.requests("instances.bulkInsert"))


def names(scene: GceScene) -> list[str]:
    """Return the names of the server's instances, with the orders' tokens in them."""
    return sorted(one["name"] for one in scene.gce.instances())


@pytest.mark.parametrize("way", [completed, stopped])
async def test_a_launch_whose_answer_nobody_heard_is_found_and_not_repeated(
    scene: GceScene, way: Callable[[GceScene], Awaitable[None]]
) -> None:
    script = scene.script("start", at_launch={"latency": 1.0})
    await scene.killed_before_it_hears_of("instances.bulkInsert", script)
    (order,) = (await scene.record()).orders.values()
    assert order.state is OrderState.INTENDED
    assert names(scene) == sorted(f"{node}-{order.token[:12]}" for node in order.names)
    scene.gce.behave(latency=0.02)
    await way(scene)
    assert launches(scene) == 1


@pytest.mark.parametrize(
    "way", [completed, pytest.param(stopped, marks=pytest.mark.soak)]
)
async def test_a_launch_that_was_under_way_when_its_sender_died_is_found(
    scene: GceScene, way: Callable[[GceScene], Awaitable[None]]
) -> None:
    scene.gce.behave(operation_seconds=1.0)
    script = scene.script("start", at_launch={"latency": 0.1})
    await scene.killed_before_it_hears_of("instances.bulkInsert", script)
    launched = alive(scene.gce)
    scene.gce.behave(latency=0.0, operation_seconds=0.1)
    await way(scene)
    assert len(launched) == scene.computes
    assert launches(scene) == 1


async def test_a_launch_that_is_carried_out_after_its_sender_s_death_is_found(
    scene: GceScene,
) -> None:
    scene.settle_window = 3.0
    strikes = {"before launch 1": "SIGKILL+0.4"}  # the request is out by then
    script = scene.script("start", strikes=strikes, at_launch={"latency": 2.0})
    await scene.run(script)
    assert launches(scene) == 0
    (order,) = (await scene.record()).orders.values()
    scene.gce.behave(latency=0.0)
    with anyio.fail_after(PROMISE):
        await scene.cluster().start()
    await scene.check_complete()
    assert names(scene) == sorted(f"{node}-{order.token[:12]}" for node in order.names)
    assert launches(scene) == 1
    await stopped(scene)


async def test_nodes_whose_start_was_killed_while_they_booted_are_waited_for(
    scene: GceScene,
) -> None:
    scene.gce.behave(boot_seconds=1.5)
    await scene.struck("start", "after describe 1")
    launched = alive(scene.gce)
    states = {node.state for node in (await scene.record()).nodes.values()}
    assert states == {NodeState.BOOTING}
    report = await scene.cluster().start()
    assert len(report.alive) == scene.computes
    await scene.check_complete()
    assert alive(scene.gce) == launched
    await stopped(scene)
    assert launches(scene) == 1


async def test_rules_that_were_made_for_nothing_are_used_and_deleted(
    scene: GceScene,
) -> None:
    await scene.struck("start", "after prepare 1")
    assert launches(scene) == 0
    assert len(scene.gce.requests("firewalls.insert")) == 2
    await completed(scene)
    assert launches(scene) == 1


@pytest.mark.parametrize(
    "point",
    [
        "after terminate 1",
        pytest.param("before terminate 1", marks=pytest.mark.soak),
    ],
)
async def test_a_stop_that_was_killed_is_completed_by_the_next(
    scene: GceScene, point: str
) -> None:
    await scene.cluster().start()
    await scene.struck("stop", point)
    assert await scene.known()
    await stopped(scene)


def cases() -> Iterator[Any]:
    """Yield moments and what is done after them, in turn; most are for a soak test."""
    ways = (completed, stopped, cleaned_up)
    for number in range(MOMENTS):
        often = number in range(0, MOMENTS, -(-MOMENTS // OFTEN))
        way = ways[number % len(ways)]
        marks = () if often else pytest.mark.soak
        yield pytest.param(number, way, marks=marks, id=f"{number}-{way.__name__}")


@pytest.mark.parametrize(("number", "way"), [*cases()])
async def test_a_start_killed_at_a_random_moment_loses_nothing(
    scene: GceScene, number: int, way: Callable[[GceScene], Awaitable[None]]
) -> None:
    draw = random.Random(f"{os.environ.get('AIOEC_SEED', '')} {number}")
    scene.gce.behave(latency=0.05)
    script = scene.script("start", recorded=way is not cleaned_up)
    async with scene.program(script) as program:
        await anyio.sleep((number + draw.random()) / MOMENTS * SPAN)
        await program.killed()
    found = {one["name"] for one in scene.gce.instances()}
    await way(scene)
    assert len(found) <= scene.computes
    assert launches(scene) <= 2
