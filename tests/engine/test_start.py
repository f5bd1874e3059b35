"""Starting: what comes up, what is given up, and what is never touched."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aioelasticluster import (
    ClusterExistsError,
    ConfigurationError,
    NodeState,
    StartError,
    StartTimeoutError,
    UnauthorizedError,
)
from aioelasticluster.model.events import NodeMoved, OperationEnded
from aioelasticluster.providers.faults import FaultPlan
from aioelasticluster.testing.fake_cloud import FakeTransport, fake_key
from tests.support import World


async def test_start_brings_all_nodes_up_and_stop_leaves_nothing() -> None:
    world = World()
    cluster = world.cluster()
    report = await cluster.start()
    assert report.ok
    assert len(report.alive) == len(report.launched) == len(world.cloud.running) == 4
    assert all(node.alive for node in cluster.get_all_nodes())
    await cluster.stop()
    assert world.cloud.running == []
    assert world.cloud.key_pairs == {}
    async with world.repository.opened():
        assert await world.repository.load_all() == []


async def test_nodes_of_one_kind_are_launched_by_one_request() -> None:
    world = World()
    await world.cluster(computes=40).start()
    assert world.cloud.requests.count("launch") == 2


async def test_every_node_gets_a_host_key_of_its_own() -> None:
    world = World()
    cluster = world.cluster()
    await cluster.start()
    for node in cluster.get_all_nodes():
        assert node.record.host_keys == (fake_key(f"own {node.name}"),)


async def test_a_host_key_that_cannot_be_rotated_is_reported_and_kept() -> None:
    world = World()
    provider = world.provider()
    cluster = world.cluster(
        provider=provider, transport=FakeTransport(provider, rotates=False)
    )
    report = await cluster.start()
    assert report.ok
    assert set(report.unrotated) == {n.name for n in cluster.get_all_nodes()}


async def test_too_few_nodes_at_the_deadline_end_what_this_call_launched() -> None:
    world = World()
    cluster = world.cluster(faults=FaultPlan(dead=frozenset({"compute002"})))
    begun = anyio.current_time()
    with pytest.raises(StartTimeoutError) as caught:
        await cluster.start(timeout=100)
    assert 100 <= anyio.current_time() - begun < 160
    assert world.cloud.running == []
    (fault,) = caught.value.report.failed
    assert (fault.node, fault.step) == ("compute002", "ssh")
    assert "no answer" in str(caught.value)


async def test_with_enough_nodes_a_straggler_is_terminated_and_named() -> None:
    world = World()
    cluster = world.cluster(faults=FaultPlan(dead=frozenset({"compute002"})))
    report = await cluster.start(timeout=100, min_nodes={"compute": 2})
    assert [fault.node for fault in report.failed] == ["compute002"]
    assert len(world.cloud.running) == 3
    assert cluster.get_node_by_name("compute002").state is NodeState.FAILED


async def test_stragglers_go_on_booting_on_request() -> None:
    world = World()
    cluster = world.cluster(faults=FaultPlan(boot_delay={"compute001": 150}))
    report = await cluster.start(
        timeout=100, min_nodes={"compute": 2}, keep_stragglers=True
    )
    assert report.booting == ("compute001",)
    assert len(world.cloud.running) == 4
    await anyio.sleep(100)
    assert await cluster.get_node_by_name("compute001").is_alive()


async def test_a_wrong_host_key_is_never_accepted() -> None:
    world = World()
    cluster = world.cluster(faults=FaultPlan(wrong_host_key=frozenset({"compute001"})))
    with pytest.raises(StartTimeoutError, match=fake_key("wrong")):
        await cluster.start(timeout=60)


async def test_a_broken_instance_ends_start_before_the_deadline() -> None:
    world = World()
    cluster = world.cluster(faults=FaultPlan(broken=frozenset({"compute001"})))
    with pytest.raises(StartError, match="no valid host") as caught:
        await cluster.start(timeout=600)
    assert not isinstance(caught.value, StartTimeoutError)
    assert anyio.current_time() < 60
    assert world.cloud.running == []


async def test_an_unauthorized_launch_ends_start_at_once() -> None:
    world = World()
    cluster = world.cluster(faults=FaultPlan(refuse="unauthorized"))
    begun = anyio.current_time()
    with pytest.raises(UnauthorizedError):
        await cluster.start(timeout=600)
    assert anyio.current_time() - begun < 1
    assert world.cloud.running == []
    assert world.cloud.key_pairs == {}


async def test_throttling_is_waited_out() -> None:
    world = World()
    report = await world.cluster(faults=FaultPlan(throttle=5)).start()
    assert report.ok


async def test_a_batch_filled_in_part_is_kept_if_it_is_enough() -> None:
    world = World()
    cluster = world.cluster(computes=10, faults=FaultPlan(capacity=8))
    report = await cluster.start(min_nodes={"compute": 5})
    assert len(report.alive) == 8
    assert {fault.step for fault in report.failed} == {"launch"}


async def test_the_next_zone_completes_what_the_first_has_no_room_for() -> None:
    world = World()
    provider = world.provider(FaultPlan(capacity=8), zones=("a", "b"))
    cluster = world.cluster(computes=10, provider=provider)
    with pytest.raises(StartError):
        await cluster.start()
    assert world.cloud.requests.count("launch") == 3


async def test_what_finds_no_room_once_accepted_is_launched_elsewhere() -> None:
    world = World()
    provider = world.provider(zones=("a", "b", "c"), full=("a", "b"))
    cluster = world.cluster(computes=3, provider=provider)
    report = await cluster.start()
    assert len(report.alive) == 4
    assert not report.failed
    places = {fake.instance.zone for fake in world.cloud.instances.values()}
    assert places == {"c"}  # and what had failed in the others is gone
    assert len(world.cloud.instances) == 4


async def test_where_no_place_is_left_a_node_without_room_fails() -> None:
    world = World()
    provider = world.provider(zones=("a", "b"), full=("a", "b"))
    cluster = world.cluster(computes=3, provider=provider)
    with pytest.raises(StartError, match="no valid host"):
        await cluster.start()
    assert not world.cloud.instances


@pytest.mark.parametrize("tokens", [True, False])
async def test_a_lost_answer_never_launches_twice(tokens: bool) -> None:
    world = World()
    provider = world.provider(FaultPlan(lost_answers=2), tokens=tokens)
    cluster = world.cluster(provider=provider)
    report = await cluster.start()
    assert report.ok
    assert len(world.cloud.running) == world.cloud.launched == 4


async def test_instances_that_are_listed_late_are_not_taken_for_gone() -> None:
    world = World()
    report = await world.cluster(faults=FaultPlan(list_lag=20)).start()
    assert report.ok
    assert world.cloud.launched == 4


async def test_starting_again_completes_what_is_missing_and_nothing_else() -> None:
    world = World()
    provider = world.provider(FaultPlan(broken=frozenset({"compute001"})))
    cluster = world.cluster(provider=provider)
    await cluster.start(min_nodes={"compute": 2})
    before = set(world.cloud.running)
    provider.faults = FaultPlan()
    report = await cluster.start()
    assert report.launched == ("compute001",)
    assert before < set(world.cloud.running)


async def test_a_failed_completion_leaves_what_was_alive_before() -> None:
    world = World()
    provider = world.provider(FaultPlan(broken=frozenset({"compute001"})))
    cluster = world.cluster(provider=provider)
    await cluster.start(min_nodes={"compute": 2})
    before = set(world.cloud.running)
    with pytest.raises(StartError):
        await cluster.start()
    assert set(world.cloud.running) == before


async def test_the_same_program_run_again_takes_its_cluster_over() -> None:
    world = World()
    await world.cluster().start()
    again = world.cluster()
    report = await again.start()
    assert report.ok
    assert report.launched == ()
    assert world.cloud.launched == 4
    await again.stop()
    assert world.cloud.running == []


async def test_another_plan_under_the_same_name_is_refused_before_any_request() -> None:
    world = World()
    await world.cluster().start()
    requests = len(world.cloud.requests)
    with pytest.raises(
        ClusterExistsError, match=r"compute004.*repository.get\('demo'\)"
    ):
        await world.cluster(computes=4).start()
    assert len(world.cloud.requests) == requests


async def test_a_stopped_cluster_can_be_started_again() -> None:
    world = World()
    cluster = world.cluster()
    await cluster.start()
    first = cluster.id
    await cluster.stop()
    report = await cluster.start()
    assert report.ok
    assert cluster.id != first
    await cluster.stop()


async def test_leaving_the_block_stops_what_this_handle_launched() -> None:
    world = World()
    async with world.cluster() as cluster:
        await cluster.start()
    assert world.cloud.running == []


async def test_leaving_the_block_keeps_what_is_to_be_kept() -> None:
    world = World()
    async with world.cluster() as cluster:
        await cluster.start()
        cluster.keep()
    assert len(world.cloud.running) == 4


async def test_leaving_the_block_keeps_what_another_handle_launched() -> None:
    world = World()
    await world.cluster().start()
    async with world.cluster() as again:
        await again.start()
    assert len(world.cloud.running) == 4


async def test_an_error_in_the_block_stops_the_cluster_and_is_raised_itself() -> None:
    world = World()

    async def fail() -> None:
        async with world.cluster() as cluster:
            await cluster.start()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert world.cloud.running == []


async def test_an_empty_cluster_cannot_be_started() -> None:
    with pytest.raises(ConfigurationError, match="add_node"):
        await World().cluster(computes=0).start()


@pytest.mark.parametrize("least", [{"compute": 4}, {"nonesuch": 1}, {"compute": -1}])
async def test_a_quorum_that_cannot_be_met_is_refused(least: dict[str, int]) -> None:
    world = World()
    with pytest.raises(ConfigurationError, match="min_nodes"):
        await world.cluster().start(min_nodes=least)
    assert world.cloud.requests == []


async def test_readers_see_every_event_and_end_with_the_operation() -> None:
    world = World()
    cluster = world.cluster()
    seen: dict[str, list[Any]] = {"a": [], "b": []}

    async def read(name: str) -> None:
        async for event in cluster.events():
            seen[name].append(event)

    async with anyio.create_task_group() as group:
        for name in seen:
            group.start_soon(read, name)
        await anyio.lowlevel.checkpoint()
        await cluster.start()
    assert seen["a"] == seen["b"]
    assert isinstance(seen["a"][-1], OperationEnded)
    alive = {
        e.node for e in seen["a"] if isinstance(e, NodeMoved) and e.after == "alive"
    }
    assert len(alive) == 4
    assert [e async for e in cluster.events(since=0)] == seen["a"]
