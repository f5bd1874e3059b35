"""A program is killed when its instances exist, but the cloud does not list them yet."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from aioelasticluster.providers.faults import FaultPlan
from tests.crash.program import planned
from tests.crash.scene import PROMISE, Scene

#: For how long (seconds) the cloud hides what it has launched.
LAG = 1.5

#: Where the ids are on disk; where only the orders are, sent at once; and sent after
#: so much throttling that a settle window since they were written is over.
MOMENTS: list[tuple[str, dict[str, Any]]] = [
    ("after transaction 3", {}),
    ("after launch 2", {}),
    ("after launch 9", {"throttle": 8}),
]


@pytest.mark.parametrize(("point", "more"), MOMENTS)
async def test_what_is_not_listed_yet_is_stopped_all_the_same(
    scene: Scene, point: str, more: dict[str, Any]
) -> None:
    scene.computes = 2
    await scene.struck("start", point, faults={"list_lag": LAG, **more})
    listed_at = anyio.current_time() + LAG
    cloud = scene.provider(FaultPlan(list_lag=LAG))  # its settle window covers the lag
    with anyio.fail_after(PROMISE):
        await planned(scene.folder, 2, cloud, scene.repository()).stop()
    await anyio.sleep(listed_at - anyio.current_time())
    await scene.check_empty()


@pytest.mark.parametrize(("point", "more"), MOMENTS)
async def test_what_is_not_listed_yet_is_not_launched_twice(
    scene: Scene, point: str, more: dict[str, Any]
) -> None:
    scene.computes = 2
    await scene.struck("start", point, faults={"list_lag": LAG, **more})
    cloud = scene.provider(FaultPlan(list_lag=LAG))
    cluster = planned(scene.folder, 2, cloud, scene.repository())
    with anyio.fail_after(PROMISE):
        report = await cluster.start()
    if point == "after launch 9":  # the second order had not been sent again
        report.launched
    else:
        assert report.launched == ()
    await anyio.sleep(LAG)
    await (await scene.check_complete()).stop()
    await scene.check_empty()
