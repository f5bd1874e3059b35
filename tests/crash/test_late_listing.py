"""A program is killed when its instances exist, but are not listed by the cloud yet."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from aioelasticluster import Cluster
from aioelasticluster.providers.faults import FaultPlan
from tests.crash.program import planned
from tests.crash.scene import PROMISE, Scene

#: For how long (seconds) the cloud hides what it has launched.
LAG = 1.0

#: Where the id is on disk; where only the order is, sent at once; and sent after so
#: much throttling that a settle window since it was written is over.
MOMENTS: list[tuple[str, dict[str, Any]]] = [
    ("after transaction 3", {}),
    ("after launch 1", {}),
    ("after launch 5", {"throttle": 4}),
]


async def killed(scene: Scene, point: str, more: dict[str, Any]) -> Cluster:
    """Kill a start; return what the same program would make, with the same lag."""
    scene.computes = 0
    await scene.struck("start", point, faults={"list_lag": LAG, **more})
    assert await scene.instances() == []
    cloud = scene.provider(FaultPlan(list_lag=LAG))
    return planned(scene.folder, scene.computes, cloud, scene.repository())


@pytest.mark.parametrize(("point", "more"), MOMENTS)
async def test_what_is_not_listed_yet_is_stopped_all_the_same(
    scene: Scene, point: str, more: dict[str, Any]
) -> None:
    cluster = await killed(scene, point, more)
    with anyio.fail_after(PROMISE):
        await cluster.stop()
    await anyio.sleep(LAG)
    await scene.check_empty()


@pytest.mark.parametrize(("point", "more"), MOMENTS)
async def test_what_is_not_listed_yet_is_not_launched_twice(
    scene: Scene, point: str, more: dict[str, Any]
) -> None:
    cluster = await killed(scene, point, more)
    with anyio.fail_after(PROMISE):
        report = await cluster.start()
    assert report.launched == ()
    await anyio.sleep(LAG)
    await (await scene.check_complete()).stop()
    await scene.check_empty()
