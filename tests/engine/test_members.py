"""Growing, shrinking, pausing, single nodes, and what the cloud does by itself."""

from __future__ import annotations

import anyio
import pytest

from aioelasticluster import (
    ClusterBusyError,
    ClusterNotFoundError,
    ClusterState,
    ConfigurationError,
    NodeNotFoundError,
    NodeState,
    SetupError,
    StartError,
    StartTimeoutError,
    UnauthorizedError,
    UnsupportedError,
    WrongAccountError,
    find_orphans,
    terminate_orphans,
)
from aioelasticluster.model.capabilities import Capabilities
from aioelasticluster.providers.faults import FaultPlan
from aioelasticluster.repositories.memory import MemRepository
from aioelasticluster.testing.fake_cloud import FakeTransport
from tests.support import World


async def test_growing_launches_and_probes_the_new_nodes_only() -> None:
    world = World()
    provider = world.provider()
    transport = FakeTransport(provider)
    cluster = world.cluster(provider=provider, transport=transport)
    await cluster.start()
    before = set(world.cloud.running)
    transport.probes.clear()
    report = await cluster.resize("compute", 6)
    assert set(report.launched) == {"compute004", "compute005", "compute006"}
    assert set(transport.probes) == set(report.launched)
    assert before < set(world.cloud.running)
    assert len(world.cloud.running) == 7


async def test_a_failed_growth_takes_only_its_own_nodes_back() -> None:
    world = World()
    provider = world.provider(FaultPlan(dead=frozenset({"compute005"})))
    cluster = world.cluster(provider=provider)
    await cluster.start()
    before = set(world.cloud.running)
    with pytest.raises(StartTimeoutError, match="compute005"):
        await cluster.resize("compute", 6, timeout=60)
    assert set(world.cloud.running) == before
    assert len(cluster.nodes["compute"]) == 3
    assert len((await world.repository.load("demo")).nodes) == 4


async def test_growth_beside_a_node_that_failed_long_ago_succeeds() -> None:
    world = World()
    provider = world.provider(FaultPlan(broken=frozenset({"compute002"})))
    cluster = world.cluster(provider=provider)
    await cluster.start(min_nodes={"compute": 2})
    report = await cluster.resize("compute", 4)
    assert set(report.launched) == {"compute004"}
    assert cluster.get_node_by_name("compute002").state is NodeState.FAILED


async def test_shrinking_drains_the_highest_indices_and_terminates_them() -> None:
    world = World()
    cluster = world.cluster(computes=5)
    await cluster.start()
    await cluster.setup()
    await cluster.resize("compute", 3)
    assert sorted(world.setup.drained) == ["compute004", "compute005"]
    assert len(world.cloud.running) == 4
    assert [node.name for node in cluster.nodes["compute"]] == [
        "compute001",
        "compute002",
        "compute003",
    ]


async def test_a_kind_may_shrink_to_nothing_while_the_others_stay() -> None:
    world = World()
    cluster = world.cluster(computes=2)
    await cluster.start()
    await cluster.resize("compute", 0)
    assert [node.kind for node in cluster.get_all_nodes()] == ["frontend"]
    assert len(world.cloud.running) == 1


async def test_the_names_of_removed_nodes_are_used_again() -> None:
    world = World()
    cluster = world.cluster()
    await cluster.start()
    await cluster.remove_node("compute002")
    report = await cluster.resize("compute", 3)
    assert report.launched == ("compute002",)


async def test_an_unknown_kind_cannot_be_resized() -> None:
    world = World()
    cluster = world.cluster()
    await cluster.start()
    with pytest.raises(ConfigurationError, match="Kinds are: compute, frontend"):
        await cluster.resize("gpu", 2)


async def test_an_unknown_node_cannot_be_removed() -> None:
    world = World()
    cluster = world.cluster()
    await cluster.start()
    with pytest.raises(NodeNotFoundError, match="compute001"):
        await cluster.remove_node("nonesuch")


async def test_after_a_resize_the_same_program_still_finds_its_cluster() -> None:
    world = World()
    cluster = world.cluster()
    await cluster.start()
    await cluster.resize("compute", 5)
    report = await world.cluster().start()
    assert len(report.alive) == 6
    assert report.launched == ()


async def test_a_paused_cluster_comes_back_with_its_instances() -> None:
    world = World()
    cluster = world.cluster()
    await cluster.start()
    before = set(world.cloud.running)
    await cluster.pause()
    states = [cluster.state]
    report = await cluster.resume()
    assert len(report.alive) == 4
    assert set(world.cloud.running) == before
    assert [*states, cluster.state] == [ClusterState.PAUSED, ClusterState.ALIVE]


async def test_pausing_where_the_cloud_cannot_touches_nothing() -> None:
    world = World()
    provider = world.provider()
    provider.capabilities = Capabilities(pause=False)
    cluster = world.cluster(provider=provider)
    await cluster.start()
    requests = len(world.cloud.requests)
    with pytest.raises(UnsupportedError):
        await cluster.pause()
    assert len(world.cloud.requests) == requests
    assert cluster.state is ClusterState.ALIVE


async def test_nodes_started_one_by_one_become_alive_when_asked() -> None:
    world = World()
    cluster = world.cluster(faults=FaultPlan(boot_delay=5))
    for node in cluster.get_all_nodes():
        await node.start()
    assert {node.state for node in cluster.get_all_nodes()} == {NodeState.BOOTING}
    assert not await cluster.frontend.is_alive()
    await anyio.sleep(6)
    assert all([await node.is_alive() for node in cluster.get_all_nodes()])
    assert world.cloud.launched == 4


async def test_nodes_may_be_started_at_once() -> None:
    world = World()
    cluster = world.cluster()
    async with anyio.create_task_group() as group:
        for node in cluster.get_all_nodes():
            group.start_soon(node.start)
    assert world.cloud.launched == 4


async def test_a_node_that_died_is_not_alive_and_the_next_start_replaces_it() -> None:
    world = World()
    cluster = world.cluster()
    await cluster.start()
    node = cluster.get_node_by_name("compute001")
    del world.cloud.instances[node.instance_id]
    assert not await node.is_alive()
    await anyio.sleep(60)
    report = await cluster.start()
    assert report.launched == ("compute001",)
    assert len(world.cloud.running) == 4


async def test_refresh_notices_instances_that_are_gone() -> None:
    world = World()
    cluster = world.cluster()
    await cluster.start()
    del world.cloud.instances[cluster.get_node_by_name("compute001").instance_id]
    await anyio.sleep(60)
    await cluster.refresh()
    assert cluster.get_node_by_name("compute001").state is NodeState.FAILED
    assert cluster.state is ClusterState.DEGRADED


async def test_a_stopped_node_leaves_the_others_running() -> None:
    world = World()
    cluster = world.cluster()
    await cluster.start()
    await cluster.get_node_by_name("compute001").stop()
    assert len(world.cloud.running) == 3
    assert cluster.get_node_by_name("compute001").state is NodeState.TERMINATED


async def test_stop_with_another_accounts_credentials_touches_nothing() -> None:
    world = World()
    await world.cluster().start()
    world.cloud.account = "fake:another"
    with pytest.raises(WrongAccountError, match="fake:another"):
        await world.cluster().stop()
    assert len(world.cloud.running) == 4
    assert (await world.repository.load("demo")).head.name == "demo"


async def test_set_up_makes_nodes_ready_and_touches_only_those_chosen() -> None:
    world = World()
    cluster = world.cluster()
    await cluster.start()
    report = await cluster.setup()
    assert report.ok
    assert cluster.state is ClusterState.READY
    await cluster.resize("compute", 4)
    await cluster.setup(only="new")
    assert world.setup.runs[-1] == ("compute004",)


async def test_a_host_that_fails_set_up_stays_alive_and_is_tried_again() -> None:
    world = World()
    cluster = world.cluster()
    await cluster.start()
    world.setup.failing = {"compute002"}
    with pytest.raises(SetupError, match="compute002") as caught:
        await cluster.setup()
    assert caught.value.report.failed == ("compute002",)
    assert cluster.get_node_by_name("compute002").state is NodeState.ALIVE
    world.setup.failing = set()
    await cluster.setup(only="failed")
    assert world.setup.runs[-1] == ("compute002",)
    assert cluster.state is ClusterState.READY


async def test_a_cluster_saved_elsewhere_moves_with_its_tags() -> None:
    world = World()
    cluster = world.cluster()
    await cluster.start()
    other = MemRepository()
    await other.save(cluster)
    with pytest.raises(ClusterNotFoundError):
        await world.repository.load("demo")
    tags = [fake.instance.tags for fake in world.cloud.instances.values()]
    assert {tag.repository for tag in tags if tag} == {await other.id()}
    await cluster.stop()
    assert world.cloud.running == []


async def test_another_operation_on_the_cluster_is_refused_while_one_runs() -> None:
    world = World()
    cluster = world.cluster()
    async with anyio.create_task_group() as group:
        group.start_soon(cluster.start)
        await anyio.sleep(0.01)
        with pytest.raises(ClusterBusyError, match="demo"):
            await world.cluster().stop()
    assert len(world.cloud.running) == 4


async def test_orphans_of_this_repository_are_found_and_ended() -> None:
    world = World()
    await world.cluster().start()
    await world.repository.delete("demo")
    orphans = await find_orphans(world.provider(), world.repository)
    assert {orphan.node for orphan in orphans} == {
        "frontend001",
        "compute001",
        "compute002",
        "compute003",
    }
    await terminate_orphans(orphans)
    assert world.cloud.running == []
    assert world.cloud.key_pairs == {}


async def test_a_colleagues_instances_are_shown_and_not_ended() -> None:
    world = World()
    cluster = world.cluster()
    await cluster.start()
    orphans = await find_orphans(world.provider(), MemRepository())
    assert {orphan.foreign for orphan in orphans} == {True}
    with pytest.raises(ConfigurationError, match="another repository"):
        await terminate_orphans(orphans)
    assert len(world.cloud.running) == 4
    await terminate_orphans(orphans, cluster_ids=[cluster.id])
    assert world.cloud.running == []


async def test_instances_of_recorded_clusters_are_no_orphans() -> None:
    world = World()
    await world.cluster().start()
    assert await find_orphans(world.provider(), world.repository) == []


async def test_a_refused_single_node_raises_and_leaves_nothing() -> None:
    world = World()
    cluster = world.cluster(faults=FaultPlan(refuse="unauthorized"))
    with pytest.raises(UnauthorizedError):
        await cluster.frontend.start()
    assert world.cloud.running == []
    await cluster.stop()


async def test_what_is_out_of_reach_of_a_quorum_ends_a_growth_early() -> None:
    world = World()
    provider = world.provider(FaultPlan(broken=frozenset({"compute004"})))
    cluster = world.cluster(provider=provider)
    await cluster.start()
    with pytest.raises(StartError, match="compute004"):
        await cluster.resize("compute", 4, timeout=600)
    assert anyio.current_time() < 60
    assert len(world.cloud.running) == 4
