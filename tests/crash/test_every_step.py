"""A program is killed before and after each step of what it does.

A step is a call that changes something outside of the process: in the repository, in
the cloud, or on a node.
"""

from __future__ import annotations

import signal
from typing import Any

import anyio
import pytest

from aioelasticluster import ClusterExistsError, ClusterState
from tests.crash.scene import PROMISE, Scene


def around(*calls: str) -> list[Any]:
    """Return the points before and after each of these calls.

    Before a call the world is mostly what it was after the one before.
    """
    return [
        point
        for call in calls
        for point in (
            pytest.param(f"before {call}", marks=pytest.mark.soak),
            f"after {call}",
        )
    ]


#: The steps of a start, in their order: the record, the key pair, the orders, their
#: sending, the instances' ids, the host keys (new ones are recorded first), the end.
START = (
    "after acquire 1",
    *around("transaction 1", "prepare 1", "transaction 2", "launch 1", "launch 2"),
    *around("transaction 3", "describe 1", "probe 1", "accept 1", "transaction 4"),
    "before release 1",
)

#: Growth sends one order, on a record that is there.
GROWTH = (
    *around("transaction 1", "prepare 1", "transaction 2", "launch 1"),
    *around("transaction 3", "accept 1", "probe 1"),
)

#: Nodes are recorded as leaving, end, are recorded as gone, and are forgotten.
SHRINKAGE = around("transaction 1", "terminate 1", "transaction 2", "transaction 3")

STOP = around("acquire 1", "transaction 1", "terminate 1", "cleanup 1", "forget 1")

#: The target is recorded before the cloud is asked, and after it for a resumption.
PAUSE = around("transaction 1", "pause 1", "transaction 2")
RESUMPTION = around("resume 1", "transaction 1")


@pytest.fixture
def scene(scene: Scene) -> Scene:
    """Give a small scene: two orders are as good as ten nodes here."""
    scene.computes = 2
    return scene


@pytest.mark.parametrize("point", START)
async def test_a_start_killed_at_any_step_is_completed_by_the_same_program(
    scene: Scene, point: str
) -> None:
    await scene.struck("start", point)
    cluster = scene.cluster()
    with anyio.fail_after(PROMISE):
        await cluster.start()
    await scene.check_complete()
    await cluster.stop()
    await scene.check_empty()


@pytest.mark.parametrize("point", START)
async def test_a_start_killed_at_any_step_is_undone_by_a_stop(
    scene: Scene, point: str
) -> None:
    await scene.struck("start", point)
    with anyio.fail_after(PROMISE):
        await scene.cluster().stop()
    await scene.check_empty()


@pytest.mark.parametrize("point", STOP)
async def test_a_stop_killed_at_any_step_is_completed_by_the_next(
    scene: Scene, point: str
) -> None:
    await scene.cluster().start()
    await scene.struck("stop", point)
    with anyio.fail_after(PROMISE):
        await scene.cluster().stop()
    await scene.check_empty()


async def test_a_cluster_whose_stop_was_killed_is_stopped_before_it_starts(
    scene: Scene,
) -> None:
    await scene.cluster().start()
    await scene.struck("stop", "after terminate 1")
    with pytest.raises(ClusterExistsError, match="on its way to gone"):
        await scene.cluster().start()
    await scene.cluster().stop()
    await scene.cluster().start()
    await (await scene.check_complete()).stop()
    await scene.check_empty()


@pytest.mark.parametrize("point", GROWTH)
async def test_growth_killed_at_any_step_is_completed_and_touches_no_other_node(
    scene: Scene, point: str
) -> None:
    await scene.cluster().start()
    before = await scene.recorded()
    await scene.struck("resize", point, computes=4)
    with anyio.fail_after(PROMISE):
        cluster = await scene.repository().get("demo")
        await cluster.resize("compute", 4)
    assert before.items() <= (await scene.recorded()).items()
    await (await scene.check_complete(4)).stop()
    await scene.check_empty()


@pytest.mark.parametrize("point", ["after transaction 2", "after launch 1"])
async def test_growth_that_was_killed_is_completed_by_the_program_that_started(
    scene: Scene, point: str
) -> None:
    await scene.cluster().start()
    before = await scene.recorded()
    await scene.struck("resize", point, computes=4)
    cluster = scene.cluster()
    with anyio.fail_after(PROMISE):
        await cluster.start()
    assert before.items() <= (await scene.recorded()).items()
    await scene.check_complete(4)
    await cluster.stop()
    await scene.check_empty()


@pytest.mark.parametrize("point", SHRINKAGE)
async def test_shrinkage_killed_at_any_step_is_completed_and_touches_no_other_node(
    scene: Scene, point: str
) -> None:
    scene.computes = 3
    await scene.cluster().start()
    before = await scene.recorded()
    await scene.struck("resize", point, computes=1)
    with anyio.fail_after(PROMISE):
        cluster = await scene.repository().get("demo")
        await cluster.resize("compute", 1)
    assert (await scene.recorded()).items() <= before.items()
    await (await scene.check_complete(1)).stop()
    await scene.check_empty()


@pytest.mark.parametrize("point", SHRINKAGE)
async def test_a_start_after_shrinkage_that_was_killed_leaves_no_node_in_between(
    scene: Scene, point: str
) -> None:
    scene.computes = 3
    await scene.cluster().start()
    await scene.struck("resize", point, computes=1)
    cluster = await scene.repository().get("demo")
    with anyio.fail_after(PROMISE):
        await cluster.start()
    await scene.check_complete(len(cluster.nodes["compute"]))
    await cluster.stop()
    await scene.check_empty()


@pytest.mark.parametrize("point", PAUSE)
async def test_a_pause_killed_at_any_step_is_completed_by_the_next(
    scene: Scene, point: str
) -> None:
    await scene.cluster().start()
    await scene.struck("pause", point)
    cluster = await scene.repository().get("demo")
    with anyio.fail_after(PROMISE):
        await cluster.pause()
    assert cluster.state is ClusterState.PAUSED
    await cluster.resume()
    await (await scene.check_complete()).stop()
    await scene.check_empty()


@pytest.mark.parametrize("point", RESUMPTION)
async def test_a_resumption_killed_at_any_step_is_completed_by_the_next(
    scene: Scene, point: str
) -> None:
    await scene.cluster().start()
    await (await scene.repository().get("demo")).pause()
    await scene.struck("resume", point)
    cluster = await scene.repository().get("demo")
    with anyio.fail_after(PROMISE):
        await cluster.resume()
    await (await scene.check_complete()).stop()
    await scene.check_empty()


async def test_an_undoing_that_was_killed_is_settled_by_the_next_start(
    scene: Scene,
) -> None:
    # Both orders take effect, but nobody hears of it; then comes the interruption,
    # and while that is being dealt with, the end.
    strikes = {"before launch 2": "SIGINT+0.1", "before terminate 1": "SIGKILL"}
    script = scene.script("start", strikes=strikes, faults={"lost_answers": 2})
    assert await scene.run(script) == -signal.SIGKILL
    assert len(await scene.instances()) == 3
    with anyio.fail_after(PROMISE):
        await scene.cluster().start()
    await (await scene.check_complete()).stop()
    await scene.check_empty()
