"""A program on a cloud is killed as by the power: whoever comes next loses nothing.

The server says what there is. A crash is what it saw of a program that then was gone.
Each test cloud has a subclass of `Crashes`.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import pytest

from aioelasticluster import MemRepository, find_orphans, terminate_orphans
from aioelasticluster.model.records import OrderState
from aioelasticluster.model.states import NodeState
from tests.clouds.clusters import new_key
from tests.clouds.scenes import CloudScene

#: Within how many seconds after a crash all must be in order again.
PROMISE = 20.0

#: How many random moments there are, and how many of them are for every commit.
MOMENTS, OFTEN = 24, 4

#: How many digits of its order's token tell whose an instance is.
DIGITS = 12

Way: TypeAlias = Callable[[CloudScene], Awaitable[None]]

soak = pytest.mark.soak


def with_a_key(folder: Path) -> Path:
    """Return a folder in which programs find the user's key."""
    key = new_key(folder)
    for ending in ("", ".pub"):
        shutil.copy2(f"{key}{ending}", folder / f"id{ending}")
    return folder


# What is done after a crash


async def completed(scene: CloudScene) -> None:
    """The same program runs again; then the cluster is stopped."""
    with anyio.fail_after(PROMISE):
        report = await scene.cluster().start()
    assert len(report.alive) == scene.computes
    cluster = await scene.check_complete()
    with anyio.fail_after(PROMISE):
        await cluster.stop()
    await scene.check_empty()


async def stopped(scene: CloudScene) -> None:
    """Another program stops the cluster."""
    with anyio.fail_after(PROMISE):
        # Killed before anything was recorded, there is nothing to be stopped.
        if await scene.known():
            await (await scene.stored()).stop()
    await scene.check_empty()


async def cleaned_up(scene: CloudScene) -> None:
    """Only the killed program knew of the cluster; its instances are found by tags."""
    existing = scene.endpoint.alive()
    orphans = await find_orphans(scene.cloud(), MemRepository())
    assert {orphan.instance_id for orphan in orphans} == existing
    assert [orphan for orphan in orphans if orphan.foreign] == []
    with anyio.fail_after(PROMISE):
        await terminate_orphans(orphans)
    assert scene.endpoint.alive() == set()
    assert not existing or scene.endpoint.made() == {}


def moments() -> Iterator[Any]:
    """Yield moments and what is done after them, in turn; most are for a soak test."""
    ways = (completed, stopped, cleaned_up)
    step = MOMENTS // OFTEN
    for number in range(MOMENTS):
        # Not the same way every time, nor every time at the beginning of a step.
        often = number % step == number // step
        way = ways[number % len(ways)]
        marks = () if often else soak
        yield pytest.param(number, way, marks=marks, id=f"{number}-{way.__name__}")


class Crashes(ABC):
    """What every cloud's programs may suffer; `scene` is a fixture of the subclass.

    `span` is how long (seconds) a start takes, and a little more.
    """

    span: float

    @abstractmethod
    def tokens(self, scene: CloudScene) -> list[str]:
        """Return the first `DIGITS` of the order's token of each instance."""

    def launches(self, scene: CloudScene) -> int:
        """Return how many requests for instances there were."""
        return len(scene.endpoint.launches())

    @pytest.mark.parametrize("way", [completed, stopped])
    async def test_a_launch_whose_answer_nobody_heard_is_found_and_not_repeated(
        self, scene: CloudScene, way: Way
    ) -> None:
        script = scene.script("start", at_launch={"latency": 1.0})
        await scene.killed_before_it_hears_of_its_launch(script)
        (order,) = (await scene.record()).orders.values()
        assert order.state is OrderState.INTENDED
        assert self.tokens(scene) == [order.token[:DIGITS]] * scene.computes
        scene.endpoint.behave(latency=0.02)
        await way(scene)
        assert self.launches(scene) == 1

    async def test_a_launch_that_is_carried_out_after_its_sender_s_death_is_found(
        self, scene: CloudScene
    ) -> None:
        scene.settle_window = 2.0
        strikes = {"before launch 1": "SIGKILL+0.3"}  # the request is out by then
        script = scene.script("start", strikes=strikes, at_launch={"latency": 1.6})
        assert await scene.run(script) == -signal.SIGKILL
        assert self.launches(scene) == 0
        (order,) = (await scene.record()).orders.values()
        scene.endpoint.behave(latency=0.0)
        with anyio.fail_after(PROMISE):
            await scene.cluster().start()
        await scene.check_complete()
        assert self.tokens(scene) == [order.token[:DIGITS]] * scene.computes
        assert self.launches(scene) == 1
        await stopped(scene)

    async def test_a_launch_that_was_answered_but_not_recorded_is_adopted(
        self, scene: CloudScene
    ) -> None:
        await scene.struck("start", "after launch 1")
        assert set((await scene.recorded()).values()) == {""}
        launched = scene.endpoint.alive()
        await scene.cluster().start()
        await scene.check_complete()
        assert scene.endpoint.alive() == launched
        await stopped(scene)
        assert self.launches(scene) == 1

    async def test_nodes_whose_start_was_killed_while_they_booted_are_waited_for(
        self, scene: CloudScene
    ) -> None:
        scene.endpoint.behave(boot_seconds=1.0)
        await scene.struck("start", "after describe 1")
        launched = scene.endpoint.alive()
        states = {node.state for node in (await scene.record()).nodes.values()}
        assert states == {NodeState.BOOTING}
        report = await scene.cluster().start()
        assert len(report.alive) == scene.computes
        await scene.check_complete()
        assert scene.endpoint.alive() == launched
        await stopped(scene)
        assert self.launches(scene) == 1

    @pytest.mark.parametrize(
        "point", ["after terminate 1", pytest.param("before terminate 1", marks=soak)]
    )
    async def test_a_stop_that_was_killed_is_completed_by_the_next(
        self, scene: CloudScene, point: str
    ) -> None:
        await scene.cluster().start()
        await scene.struck("stop", point)
        assert await scene.known()
        await stopped(scene)
        assert not await scene.known()

    async def test_another_repository_takes_what_is_recorded_for_somebody_else_s(
        self, scene: CloudScene
    ) -> None:
        await scene.struck("start", "after launch 1")
        orphans = await find_orphans(scene.cloud(), MemRepository())
        assert {orphan.instance_id for orphan in orphans} == scene.endpoint.alive()
        assert all(orphan.foreign for orphan in orphans)
        ids = {orphan.cluster_id for orphan in orphans}
        await terminate_orphans(orphans, cluster_ids=ids)
        assert scene.endpoint.alive() == set()
        await stopped(scene)

    @pytest.mark.parametrize(("number", "way"), [*moments()])
    async def test_a_start_killed_at_a_random_moment_loses_nothing(
        self, scene: CloudScene, number: int, way: Way
    ) -> None:
        draw = random.Random(f"{os.environ.get('AIOEC_SEED', '')} {number}")
        scene.endpoint.behave(latency=0.05)
        script = scene.script("start", recorded=way is not cleaned_up)
        async with scene.program(script) as program:
            await anyio.sleep((number + draw.random()) / MOMENTS * self.span)
            await program.killed()
        found = self.tokens(scene)
        await way(scene)
        assert len(found) <= scene.computes
        assert self.launches(scene) <= 2
