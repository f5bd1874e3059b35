"""What once went wrong when two things of one handle happened at the same time."""

from __future__ import annotations

import anyio
import pytest

from aioelasticluster import HostKeyError, Node, NodeState, UnreachableError
from aioelasticluster.model.events import Event, OperationEnded
from aioelasticluster.providers.faults import FaultPlan
from aioelasticluster.repositories.base import Lease
from aioelasticluster.repositories.memory import MemRepository
from aioelasticluster.ssh.base import Accept, Reached, SshTarget
from aioelasticluster.testing.fake_cloud import FakeTransport, fake_key
from tests.support import World

#: Longer (seconds) than anything here takes: what is not done by then never is.
NEVER = 500.0


class RacingTransport(FakeTransport):
    """Gives a node another fresh host key by each probe, some faster than others."""

    rotations = 0

    async def probe(self, target: SshTarget, accept: Accept | None = None) -> Reached:
        await anyio.sleep(self.latency)
        fake = self.provider.cloud.close_to(target.address)
        if fake is None:
            raise UnreachableError(f"no answer from {target.address}")
        if fake.host_key not in target.host_keys:
            raise HostKeyError(f"{target.address} shows {fake.host_key}")
        if accept is None or fake.host_key != target.rotate_from:
            return Reached(host_keys=(fake.host_key,))
        self.rotations += 1
        fresh, slow = fake_key(f"own {self.rotations}"), 4 - self.rotations % 4
        await anyio.sleep(self.latency * slow)
        await accept((fake.host_key, fresh))
        await anyio.sleep(self.latency * slow)
        fake.host_key = fresh
        await anyio.sleep(self.latency / slow)
        return Reached(host_keys=(fresh,))


async def assert_not_locked_out(world: World, node: Node) -> None:
    """Check that the recorded host key is the one that the node shows."""
    fake = world.cloud.instances[node.instance_id]
    nodes = (await world.repository.load("demo")).nodes
    assert nodes[node.name].host_keys == (fake.host_key,)
    assert nodes[node.name].state is NodeState.ALIVE
    assert await node.is_alive()


async def test_asking_a_booting_node_several_times_at_once_locks_nobody_out() -> None:
    world = World()
    provider = world.provider()
    transport = RacingTransport(provider)
    node = world.cluster(provider=provider, transport=transport).frontend
    await node.start()
    answers: list[bool] = []

    async def ask(after: float) -> None:
        await anyio.sleep(after)
        answers.append(await node.is_alive())

    with anyio.fail_after(NEVER):
        async with anyio.create_task_group() as group:
            for after in (0, 0, 0.01, 0.06, 0.11):
                group.start_soon(ask, after)
    assert answers == [True] * 5
    assert transport.rotations == 1
    await assert_not_locked_out(world, node)


async def test_asking_nodes_while_they_are_started_disturbs_nothing() -> None:
    world = World()
    provider = world.provider(FaultPlan(boot_delay=2))
    cluster = world.cluster(provider=provider, transport=RacingTransport(provider))

    async def ask(node: Node) -> None:
        while True:
            await node.is_alive()
            await anyio.sleep(0.03)

    with anyio.fail_after(NEVER):
        async with anyio.create_task_group() as group:
            for node in cluster.get_all_nodes():
                group.start_soon(ask, node)
            report = await cluster.start()
            group.cancel_scope.cancel()
    assert report.ok
    assert len(report.alive) == len(world.cloud.running) == world.cloud.launched == 4
    for node in cluster.get_all_nodes():
        await assert_not_locked_out(world, node)


@pytest.mark.parametrize("first", range(0, 40, 10))
async def test_asking_a_node_while_its_cluster_is_stopped_keeps_nobody_waiting(
    first: int,
) -> None:
    for hundredths in range(first, first + 10):
        world = World()
        provider = world.provider()
        transport = RacingTransport(provider)
        cluster = world.cluster(computes=1, provider=provider, transport=transport)
        await cluster.frontend.start()
        await anyio.sleep(1)
        with anyio.fail_after(NEVER):
            async with anyio.create_task_group() as group:
                group.start_soon(cluster.frontend.is_alive)
                await anyio.sleep(hundredths / 100)
                await cluster.stop()
        assert world.cloud.running == []
        assert await world.repository.load_all() == []
        assert cluster.frontend.state is NodeState.TERMINATED


async def test_a_host_key_that_comes_after_the_stop_keeps_nobody_waiting() -> None:
    class SlowTransport(FakeTransport):
        async def probe(
            self, target: SshTarget, accept: Accept | None = None
        ) -> Reached:
            await anyio.sleep(3)
            if accept is not None:
                await accept((*target.host_keys, fake_key("late")))
            return await super().probe(target, accept)

    world = World()
    provider = world.provider()
    cluster = world.cluster(provider=provider, transport=SlowTransport(provider))
    await cluster.frontend.start()
    answers: list[bool] = []

    async def ask() -> None:
        answers.append(await cluster.frontend.is_alive())

    with anyio.fail_after(NEVER):
        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await anyio.sleep(0.5)
            await cluster.stop()
            assert world.cloud.running == []
    assert answers == [False]
    assert await world.repository.load_all() == []


async def test_an_operation_right_after_another_of_its_handle_is_not_busy() -> None:
    class SlowRepository(MemRepository):
        async def release(self, lease: Lease) -> None:
            await anyio.sleep(0.02)
            await super().release(lease)

    world = World(repository=SlowRepository())
    cluster = world.cluster(computes=1)
    await cluster.start()
    for step in range(40):
        async with anyio.create_task_group() as group:
            group.start_soon(cluster.frontend.is_alive)
            await anyio.sleep(0.04 + 0.001 * step)
            assert (await cluster.setup()).ok
    assert len(world.setup.runs) == 40


async def test_a_reader_made_before_an_operation_can_be_read_after_it() -> None:
    world = World()
    cluster = world.cluster(computes=1)
    reader = cluster.events()
    await cluster.start()
    seen: list[Event] = []
    with anyio.fail_after(NEVER):
        seen += [event async for event in reader]
    assert [type(event) for event in seen].count(OperationEnded) == 1
    assert isinstance(seen[-1], OperationEnded)


async def test_handles_on_the_same_node_are_equal_and_on_others_are_not() -> None:
    cluster, other = World().cluster(), World().cluster()
    assert cluster.frontend == cluster.frontend
    assert cluster.frontend in cluster.get_all_nodes()
    assert len({*cluster.get_all_nodes(), *cluster.get_all_nodes()}) == 4
    assert cluster.frontend != other.frontend
    assert cluster.frontend != cluster.get_node_by_name("compute001")
    assert cluster.frontend != "frontend001"
