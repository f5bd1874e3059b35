"""A random bad day in the cloud, and a program that is killed in the middle of it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from aioelasticluster import Cluster
from aioelasticluster.providers.faults import FaultPlan
from tests.crash.program import planned
from tests.crash.scene import PROMISE, Scene

#: How many bad days there are at every commit, and in a soak test.
FEW, MANY = 5, 100

#: By when (seconds) the program is killed.
LATEST = 4.0

COMPUTES = 5


def bad_day(draw: random.Random) -> dict[str, Any]:
    """Draw the arguments of a fault plan; the frontend is spared what never ends."""
    names = [f"compute{index:03}" for index in range(1, COMPUTES + 1)]
    return {
        "throttle": draw.choice([0, 0, 1, 3]),
        "list_lag": draw.choice([0.0, 0.0, draw.uniform(0.0, 1.0)]),
        "lost_answers": draw.choice([0, 0, 1, 2]),
        "capacity": draw.choice([None, None, draw.randint(1, COMPUTES + 1)]),
        "boot_delay": {name: draw.uniform(0.0, 1.5) for name in names},
        "wrong_host_key": draw.sample(names, draw.choice([0, 1])),
    }


def next_day(scene: Scene, faults: Mapping[str, Any]) -> Cluster:
    """Return what the same program would make when all but the lag is over."""
    cloud = scene.provider(FaultPlan(list_lag=faults["list_lag"]))
    return planned(scene.folder, scene.computes, cloud, scene.repository())


async def stopped(cluster: Cluster, scene: Scene) -> None:
    with anyio.fail_after(PROMISE):
        await cluster.stop()


async def completed(cluster: Cluster, scene: Scene) -> None:
    """Start again; a node with a wrong key is never let in, and replaced by none."""
    least = {"compute": COMPUTES - 1, "frontend": 1}
    with anyio.fail_after(PROMISE):
        report = await cluster.start(timeout=PROMISE / 2, min_nodes=least)
    alive = {node.name: node for node in cluster.get_all_nodes() if node.alive}
    assert set(alive) == set(report.alive)
    existing = {i.name: i.id for i in await scene.instances()}
    assert existing == {name: node.instance_id for name, node in alive.items()}
    results = await cluster.run("true", timeout=PROMISE)
    assert all(result.ok for result in results.values()), results
    await cluster.stop()


@pytest.mark.parametrize(
    "number",
    [
        *range(FEW),
        *(pytest.param(n, marks=pytest.mark.soak) for n in range(FEW, MANY)),
    ],
)
async def test_a_program_killed_on_a_bad_day_loses_nothing(
    scene: Scene, draw: random.Random, number: int
) -> None:
    scene.computes = COMPUTES
    faults, delay = bad_day(draw), draw.uniform(0.0, LATEST)
    afterwards = (stopped, completed)[number % 2]
    async with scene.program(scene.script("start", faults=faults)) as program:
        await anyio.sleep(delay)
        await program.killed()
    await afterwards(next_day(scene, faults), scene)
    await anyio.sleep(faults["list_lag"])
    await scene.check_empty()
