"""What other processes may do with a cluster, while its program lives and after."""

from __future__ import annotations

import signal

import anyio
import pytest

from aioelasticluster import (
    ClusterBusyError,
    ConfigurationError,
    MemRepository,
    find_orphans,
    terminate_orphans,
)
from tests.crash.program import DONE, HOLD
from tests.crash.scene import PROMISE, Running, Scene


@pytest.fixture
def scene(scene: Scene) -> Scene:
    """Give a small scene."""
    scene.computes = 2
    return scene


async def check_busy(scene: Scene, program: Running) -> None:
    """Assert that nobody else can operate on the cluster, and is told who does."""
    for operate in (scene.cluster().start, scene.cluster().stop):
        with pytest.raises(ClusterBusyError, match=f"process {program.pid} ") as caught:
            await operate()
        assert caught.value.name == "demo"


async def test_a_live_programs_cluster_is_busy_and_a_dead_ones_is_taken_over_at_once(
    scene: Scene,
) -> None:
    point = "before accept 1"
    script = scene.script("start", strikes={point: HOLD})
    async with scene.program(script) as program:
        await program.says(point)
        await check_busy(scene, program)
        await program.killed()
        with anyio.fail_after(PROMISE):
            await scene.cluster().start()
    await (await scene.check_complete()).stop()
    await scene.check_empty()


async def test_a_program_that_is_only_stopped_keeps_its_cluster(scene: Scene) -> None:
    point = "before accept 1"
    script = scene.script("start", strikes={point: "SIGSTOP"})
    async with scene.program(script) as program:
        await program.says(point)
        await check_busy(scene, program)
        program.signalled(signal.SIGCONT)
        await program.says(DONE)
    await (await scene.check_complete()).stop()
    await scene.check_empty()


async def test_what_a_live_program_keeps_in_memory_is_foreign_until_it_is_dead(
    scene: Scene,
) -> None:
    point = "after launch 2"
    script = scene.script("start", recorded=False, strikes={point: HOLD})
    async with scene.program(script) as program:
        await program.says(point)
        orphans = await find_orphans(scene.provider(), scene.repository())
        assert [orphan.foreign for orphan in orphans] == [True] * 3
        with pytest.raises(ConfigurationError, match="another repository"):
            await terminate_orphans(orphans)
        assert len(await scene.instances()) == 3
    with anyio.fail_after(PROMISE):
        orphans = await find_orphans(scene.provider(), scene.repository())
        assert [orphan.foreign for orphan in orphans] == [False] * 3
        await terminate_orphans(orphans)
    await scene.check_empty()


async def test_instances_whose_record_was_deleted_are_the_repositorys_own_orphans(
    scene: Scene,
) -> None:
    await scene.struck("start", "after probe 1")
    assert await find_orphans(scene.provider(), scene.repository()) == []
    await scene.repository().delete("demo")
    with anyio.fail_after(PROMISE):
        orphans = await find_orphans(scene.provider(), scene.repository())
        assert [orphan.foreign for orphan in orphans] == [False] * 3
        await terminate_orphans(orphans)
    await scene.check_empty()


async def test_instances_whose_database_was_deleted_are_ended_by_name_only(
    scene: Scene,
) -> None:
    await scene.struck("start", "after probe 1")
    for path in scene.folder.glob(f"{scene.database.name}*"):
        path.unlink()
    with anyio.fail_after(PROMISE):
        orphans = await find_orphans(scene.provider(), scene.repository())
        assert [orphan.foreign for orphan in orphans] == [True] * 3
        with pytest.raises(ConfigurationError, match="another repository"):
            await terminate_orphans(orphans)
        assert len(await scene.instances()) == 3
        ids = {orphan.cluster_id for orphan in orphans}
        await terminate_orphans(orphans, cluster_ids=ids)
    await scene.check_empty()


async def test_in_a_repository_of_its_own_memory_nothing_is_known_to_be_an_orphan(
    scene: Scene,
) -> None:
    await scene.struck("start", "after probe 1")
    orphans = await find_orphans(scene.provider(), MemRepository())
    assert [orphan.foreign for orphan in orphans] == [True] * 3
    await scene.cluster().stop()
    await scene.check_empty()
