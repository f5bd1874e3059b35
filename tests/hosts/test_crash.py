"""A program on a container engine is killed as by the power: nothing is lost by it.

The engine says what there is.
"""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest

from aioelasticluster import Cluster
from tests.crash.scene import Scene
from tests.hosts.clusters import new_key
from tests.hosts.contents import containers, contents
from tests.hosts.program import ContainerScript, planned, quick_provider
from tests.hosts.running import RunningEngine
from tests.hosts.sharing import MARKS

#: The first of two timeouts counts.
pytestmark = [pytest.mark.timeout(180, func_only=True), *MARKS]

#: Within how many seconds after a crash all must be in order again.
PROMISE = 50.0

#: How long (seconds) a start takes here, and a little more: the moments are in it.
SPAN = 4.0

#: How many random moments there are, and how many of them are for every commit.
MOMENTS, OFTEN = 12, 2


@dataclass
class ContainerScene(Scene):
    """One cluster's world in an engine."""

    computes: int = 2
    url: str = ""
    program_module: ClassVar[str] = "tests.hosts.program"

    def script(self, verb: str, **changes: Any) -> ContainerScript:
        """Return a script for this scene."""
        script = ContainerScript(
            folder=str(self.folder), verb=verb, computes=self.computes, url=self.url
        )
        return replace(script, **changes)

    def cluster(self) -> Cluster:
        """Return the handle that the same program would make if it ran again."""
        return planned(self.url, self.folder, self.computes, self.repository())

    async def stored(self) -> Cluster:
        """Return the handle that another program gets from the repository."""
        provider = quick_provider(self.url)
        return await self.repository().get("demo", cloud_provider=provider)


@pytest.fixture
def scene(engine: RunningEngine, tmp_path: Path) -> ContainerScene:
    """Give an empty scene."""
    new_key(tmp_path)
    return ContainerScene(tmp_path, url=engine.url)


async def completed(scene: ContainerScene) -> None:
    """The same program runs again; then the cluster is stopped."""
    with anyio.fail_after(PROMISE):
        cluster = scene.cluster()
        report = await cluster.start()
        assert len(report.alive) == scene.computes
        results = await cluster.run("true")
    assert all(result.ok for result in results.values())
    assert len(containers(scene.url)) == scene.computes
    await stopped(scene)


async def stopped(scene: ContainerScene) -> None:
    """Another program stops the cluster."""
    with anyio.fail_after(PROMISE):
        # Killed before anything was recorded, there is nothing to be stopped.
        if await scene.known():
            await (await scene.stored()).stop()
    assert not contents(scene.url)
    assert not await scene.known()


async def test_a_container_that_was_made_but_not_started_is_started_by_the_next(
    scene: ContainerScene,
) -> None:
    await scene.struck("start", "before start 2")
    made = {one["Id"]: one["State"] for one in containers(scene.url)}
    assert "created" in made.values()
    with anyio.fail_after(PROMISE):
        report = await scene.cluster().start()
    assert len(report.alive) == scene.computes
    assert {one["Id"] for one in containers(scene.url)} >= set(made)
    await stopped(scene)


@pytest.mark.parametrize(
    ("point", "way"),
    [
        ("before start 1", stopped),
        ("after prepare 1", stopped),
        pytest.param("after prepare 1", completed, marks=pytest.mark.soak),
        pytest.param("after launch 1", completed, marks=pytest.mark.soak),
        pytest.param("after launch 1", stopped, marks=pytest.mark.soak),
        pytest.param("after describe 1", completed, marks=pytest.mark.soak),
    ],
)
async def test_a_start_that_was_killed_is_completed_or_stopped(
    scene: ContainerScene,
    point: str,
    way: Callable[[ContainerScene], Awaitable[None]],
) -> None:
    await scene.struck("start", point)
    assert contents(scene.url).networks
    assert contents(scene.url).volumes
    await way(scene)


@pytest.mark.soak
@pytest.mark.parametrize("point", ["after terminate 1", "before cleanup 1"])
async def test_a_stop_that_was_killed_is_completed_by_the_next(
    scene: ContainerScene, point: str
) -> None:
    await scene.cluster().start()
    await scene.struck("stop", point)
    assert contents(scene.url).networks
    await stopped(scene)


def cases() -> Iterator[Any]:
    """Yield moments; most are for a soak test."""
    for number in range(MOMENTS):
        often = number % (MOMENTS // OFTEN) == 1
        yield pytest.param(number, marks=() if often else pytest.mark.soak)


@pytest.mark.parametrize("number", [*cases()])
async def test_a_start_killed_at_a_random_moment_leaves_nothing_after_a_stop(
    scene: ContainerScene, number: int
) -> None:
    draw = random.Random(f"{os.environ.get('AIOEC_SEED', '')} {number}")
    async with scene.program(scene.script("start")) as program:
        await anyio.sleep((number + draw.random()) / MOMENTS * SPAN)
        await program.killed()
    await stopped(scene)
