"""The local cloud misbehaves as its fault plan says, and never otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import asyncssh
import pytest

from aioelasticluster.errors import (
    CapacityError,
    ConfigurationError,
    InvalidRequestError,
    ProviderError,
    QuotaError,
    ThrottledError,
    UnauthorizedError,
    UnknownOutcomeError,
)
from aioelasticluster.providers.base import Instance, InstanceState
from aioelasticluster.providers.faults import FaultPlan
from aioelasticluster.providers.local import LocalCloudProvider
from tests.providers.local_cloud import LocalCloud

S = InstanceState
Faulty = Callable[[FaultPlan], LocalCloud]


@pytest.fixture
async def faulty(cloud: LocalCloud) -> AsyncIterator[Faulty]:
    """Give more handles on the cloud, each with its own fault plan."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(cloud.provider.opened())

        def made(faults: FaultPlan) -> LocalCloud:
            provider = LocalCloudProvider(cloud.state, faults=faults)
            return LocalCloud(cloud.folder, provider, cloud.cluster_id)

        yield made


async def test_an_instance_that_boots_is_pending_and_refuses_connections(
    faulty: Faulty,
) -> None:
    cloud = faulty(FaultPlan(boot_delay={"slow": 0.6}))
    launched = await cloud.provider.launch(cloud.order("quick", "slow"))
    quick, slow = launched.instances
    await cloud.running([quick.id])
    [seen] = await cloud.described(slow.id)
    assert seen.state is S.PENDING
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(seen.addresses[0], seen.ssh_port)
    [seen] = await cloud.running([slow.id])
    assert (seen.addresses, seen.ssh_port) == (slow.addresses, slow.ssh_port)
    assert await cloud.text(seen, "echo up") == "up"


async def test_a_pending_instance_can_be_terminated(faulty: Faulty) -> None:
    cloud = faulty(FaultPlan(boot_delay=1000))
    launched = await cloud.provider.launch(cloud.order("a1"))
    await cloud.provider.terminate([launched.instances[0].id])
    with anyio.fail_after(5):
        await cloud.gone(launched.instances[0].id)


async def test_a_dead_instance_takes_connections_but_says_nothing(
    faulty: Faulty,
) -> None:
    cloud = faulty(FaultPlan(dead=frozenset({"a1"})))
    [instance] = await cloud.launch("a1")
    stream = await anyio.connect_tcp(instance.addresses[0], instance.ssh_port)
    async with stream:
        with anyio.move_on_after(0.3) as scope:
            await stream.receive()
    assert scope.cancelled_caught


async def test_a_broken_instance_is_described_as_failed_with_a_reason(
    faulty: Faulty,
) -> None:
    cloud = faulty(FaultPlan(broken=frozenset({"a2"})))
    launched = await cloud.provider.launch(cloud.order("a1", "a2"))
    [seen] = await cloud.described(launched.instances[1].id)
    assert seen.state is S.FAILED
    assert "never run" in str(seen.fault)
    await cloud.provider.terminate([seen.id])
    await cloud.gone(seen.id)


async def test_a_node_can_show_another_host_key_than_it_was_given(
    faulty: Faulty,
) -> None:
    cloud = faulty(FaultPlan(wrong_host_key=frozenset({"a2"})))
    right, wrong = await cloud.launch("a1", "a2")
    assert await shown_by(right) == cloud.host_key.export_public_key().split()[:2]
    assert await shown_by(wrong) != await shown_by(right)


async def shown_by(instance: Instance) -> list[bytes]:
    """Return the host key that an instance shows."""
    key = await asyncssh.get_server_host_key(instance.addresses[0], instance.ssh_port)
    assert key is not None
    return key.export_public_key().split()[:2]


async def test_the_first_launches_are_throttled(faulty: Faulty) -> None:
    cloud = faulty(FaultPlan(throttle=2))
    order = cloud.order("a1")
    for _ in range(2):
        with pytest.raises(ThrottledError):
            await cloud.provider.launch(order)
    assert not await cloud.provider.find()
    assert len((await cloud.provider.launch(order)).instances) == 1


async def test_a_lost_answer_leaves_instances_to_be_found(faulty: Faulty) -> None:
    cloud = faulty(FaultPlan(lost_answers=1))
    order = cloud.order("a1", "a2")
    with pytest.raises(UnknownOutcomeError):
        await cloud.provider.launch(order)
    found = await cloud.provider.find(token=order.token)
    launched = await cloud.provider.launch(order)
    assert [one.id for one in found] == [one.id for one in launched.instances]
    assert len(found) == 2


@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("unauthorized", UnauthorizedError),
        ("invalid", InvalidRequestError),
        ("quota", QuotaError),
        ("capacity", CapacityError),
    ],
)
async def test_every_launch_can_be_refused(
    faulty: Faulty, word: str, error: type[ProviderError]
) -> None:
    cloud = faulty(FaultPlan(refuse=word))
    with pytest.raises(error):
        await cloud.provider.launch(cloud.order("a1"))
    assert not await cloud.provider.find()


def test_a_refusal_must_be_one_that_there_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="quota"):
        LocalCloudProvider(tmp_path, faults=FaultPlan(refuse="sulking"))


async def test_fresh_instances_are_hidden_for_a_while(faulty: Faulty) -> None:
    cloud = faulty(FaultPlan(list_lag=0.5))
    order = cloud.order("a1")
    launched = await cloud.provider.launch(order)
    assert len(launched.instances) == 1
    assert not await cloud.provider.find(token=order.token)
    assert not await cloud.described(launched.instances[0].id)
    assert cloud.provider.settle_window > 0.5
    await anyio.sleep(0.5)
    assert len(await cloud.provider.find(token=order.token)) == 1


async def test_capacity_counts_whatever_lives_in_the_folder(faulty: Faulty) -> None:
    cloud = faulty(FaultPlan(capacity=3))
    other = faulty(FaultPlan())
    [taken] = await other.launch("b1")
    launched = await cloud.provider.launch(cloud.order("a1", "a2", "a3"))
    assert [instance.name for instance in launched.instances] == ["a1", "a2"]
    assert isinstance(launched.refused, CapacityError)
    with pytest.raises(CapacityError):
        await cloud.provider.launch(cloud.order("a3"))
    await other.provider.terminate([taken.id])
    assert (await cloud.provider.launch(cloud.order("a3"))).refused is None


def test_faults_are_not_recorded(tmp_path: Path) -> None:
    provider = LocalCloudProvider(tmp_path, faults=FaultPlan(throttle=1))
    assert provider.settings() == {"state_dir": str(tmp_path)}
