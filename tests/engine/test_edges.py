"""What once went wrong: left running, launched twice, forgotten, or ended unasked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import pytest

from aioelasticluster import (
    CapacityError,
    Cluster,
    ClusterExistsError,
    ConfigurationError,
    NodeState,
    StartTimeoutError,
    UnauthorizedError,
    WrongAccountError,
)
from aioelasticluster._process import ProcessIdentity
from aioelasticluster.engine.orders import batches_of
from aioelasticluster.errors import (
    ProviderError,
    QuotaError,
    TransientError,
    UnknownOutcomeError,
)
from aioelasticluster.model.capabilities import Capabilities
from aioelasticluster.model.records import Change, NodeRecord, NodeSpec
from aioelasticluster.providers.base import Instance, Launched, LaunchOrder
from aioelasticluster.providers.faults import FaultPlan
from aioelasticluster.repositories.memory import MemRepository
from aioelasticluster.testing.fake_cloud import (
    FakeCloud,
    FakeCloudProvider,
    FakeTransport,
    fake_key,
)
from tests.support import World


class FickleCloudProvider(FakeCloudProvider):
    """Raises what was prepared, a request at a time; unknown outcomes take effect."""

    def __init__(self, cloud: FakeCloud, **kw: Any) -> None:
        super().__init__(cloud, **kw)
        self.launch_errors: list[ProviderError] = []
        self.find_errors: list[ProviderError] = []
        self.terminate_error: ProviderError | None = None
        self.asked_to_launch = anyio.Event()

    async def launch(self, order: LaunchOrder) -> Launched:
        self.asked_to_launch.set()
        error = self.launch_errors.pop(0) if self.launch_errors else None
        if error is not None and not isinstance(error, UnknownOutcomeError):
            raise error
        answer = await super().launch(order)
        if error is not None:
            raise error
        return answer

    async def find(
        self, *, token: str | None = None, cluster_id: str | None = None
    ) -> Sequence[Instance]:
        if token is not None and self.find_errors:
            raise self.find_errors.pop(0)
        return await super().find(token=token, cluster_id=cluster_id)

    async def terminate(self, ids: Sequence[str]) -> None:
        if self.terminate_error is not None:
            raise self.terminate_error
        await super().terminate(ids)


async def recorded(world: World) -> Mapping[str, NodeRecord]:
    """Return the nodes that are recorded of the cluster."""
    return (await world.repository.load("demo")).nodes


async def assert_nothing_left(world: World) -> None:
    assert world.cloud.running == []
    assert await world.repository.load_all() == []


# What must not be touched


@pytest.mark.parametrize("count", [1, 5])
async def test_a_resize_with_another_accounts_credentials_touches_nothing(
    count: int,
) -> None:
    world, other = World(), FakeCloud(account="fake:another")
    await world.cluster().start()
    before = await recorded(world)
    provider = FakeCloudProvider(other)
    again = await world.repository.get(
        "demo",
        cloud_provider=provider,
        setup_provider=world.setup,
        transport=FakeTransport(provider),
    )
    with pytest.raises(WrongAccountError, match="fake:another"):
        await again.resize("compute", count)
    assert await recorded(world) == before
    assert len(world.cloud.running) == 4
    assert set(other.requests) == {"identity"}


async def test_pausing_what_was_never_started_records_nothing() -> None:
    world = World()
    cluster = world.cluster(computes=1)
    with pytest.raises(ConfigurationError, match=r"Call start\(\) first"):
        await cluster.pause()
    await assert_nothing_left(world)
    assert len((await cluster.start()).alive) == 2


async def test_saving_where_the_name_is_taken_changes_no_tags() -> None:
    world = World()
    elsewhere = World(cloud=world.cloud)
    cluster = world.cluster(computes=1)
    await cluster.start()
    await elsewhere.cluster(computes=1).start()
    before = [fake.instance.tags for fake in world.cloud.instances.values()]
    with pytest.raises(ClusterExistsError, match="demo"):
        await elsewhere.repository.save(cluster)
    assert [fake.instance.tags for fake in world.cloud.instances.values()] == before
    assert (await world.repository.load("demo")).head.id == cluster.id


# What leaving the block ends


async def removing_first(world: World, cluster: Cluster) -> None:
    await cluster.remove_node("compute001")
    await cluster.start()


async def saving_first(world: World, cluster: Cluster) -> None:
    await world.repository.save(cluster)
    await cluster.start()


async def cancelling_the_first_node(world: World, cluster: Cluster) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(cluster.frontend.start)
        await fickle(cluster).asked_to_launch.wait()
        group.cancel_scope.cancel()


async def with_the_first_node_refused(world: World, cluster: Cluster) -> None:
    fickle(cluster).launch_errors = [CapacityError("no room")]
    with pytest.raises(CapacityError):
        await cluster.frontend.start()
    await cluster.get_node_by_name("compute001").start()


def fickle(cluster: Cluster) -> FickleCloudProvider:
    assert isinstance(cluster.cloud_provider, FickleCloudProvider)
    return cluster.cloud_provider


@pytest.mark.parametrize(
    "begin",
    [
        removing_first,
        saving_first,
        cancelling_the_first_node,
        with_the_first_node_refused,
    ],
)
async def test_leaving_the_block_ends_what_it_launched_however_it_began(
    begin: Callable[[World, Cluster], Awaitable[None]],
) -> None:
    world = World()
    async with world.cluster(provider=FickleCloudProvider(world.cloud)) as cluster:
        await begin(world, cluster)
        assert world.cloud.running
    await assert_nothing_left(world)


async def test_a_start_cancelled_within_the_settle_window_leaves_nothing() -> None:
    world = World()
    faults = FaultPlan(lost_answers=1)
    provider = world.provider(faults, tokens=False, settle_window=60)
    async with world.cluster(computes=1, provider=provider) as cluster:
        with anyio.move_on_after(10) as scope:
            await cluster.start()
        assert scope.cancelled_caught
    assert world.cloud.launched > 0
    await assert_nothing_left(world)


async def test_keeping_a_cluster_just_before_the_block_is_left_is_recorded() -> None:
    world = World()
    async with world.cluster(computes=1) as cluster:
        await cluster.start()
        cluster.keep()
    assert len(world.cloud.running) == 2
    assert (await world.repository.load("demo")).head.kept


@pytest.mark.parametrize(("kept", "left"), [(True, 2), (False, 0)])
async def test_completing_a_dead_programs_cluster_stops_it_unless_it_was_kept(
    kept: bool, left: int
) -> None:
    world = World()
    cluster = world.cluster(computes=1)
    if kept:
        cluster.keep()
    await cluster.start()
    await disown(world)
    del world.cloud.instances[cluster.get_node_by_name("compute001").instance_id]
    await anyio.sleep(60)
    async with world.cluster(computes=1) as again:
        assert (await again.start()).launched == ("compute001",)
        assert len(world.cloud.running) == 2
    assert len(world.cloud.running) == left


async def disown(world: World) -> None:
    """Make the cluster's owner a process of an earlier boot of this machine."""
    owner = replace(ProcessIdentity.current(), boot="0123456789")
    head = (await world.repository.load("demo")).head
    lease = await world.repository.acquire("demo", ttl=60)
    change = Change(head=replace(head, owner=owner.encoded()))
    await world.repository.transaction(lease, change)
    await world.repository.release(lease)


async def test_a_block_that_cannot_be_entered_closes_what_was_opened() -> None:
    class OpenRepository(MemRepository):
        open = 0

        @asynccontextmanager
        async def opened(self) -> AsyncIterator[None]:
            self.open += 1
            try:
                yield
            finally:
                self.open -= 1

    class ClosedCloudProvider(FakeCloudProvider):
        @asynccontextmanager
        async def opened(self) -> AsyncIterator[None]:
            if repository.open:
                raise UnauthorizedError("no credentials")
            yield

    repository = OpenRepository()
    world = World(repository=repository)
    cluster = world.cluster(provider=ClosedCloudProvider(world.cloud))
    with pytest.raises(UnauthorizedError, match="no credentials"):
        await cluster.__aenter__()
    assert repository.open == 0


# Unknown outcomes


@pytest.mark.parametrize(
    "errors",
    [
        [TransientError("503")] * 5,
        [QuotaError("no more")],
        [UnauthorizedError("expired")],
    ],
    ids=["transient", "quota", "unauthorized"],
)
async def test_an_error_after_an_unknown_outcome_launches_nothing_twice(
    errors: list[ProviderError],
) -> None:
    world = World()
    provider = FickleCloudProvider(world.cloud, faults=FaultPlan(list_lag=3))
    provider.launch_errors = [UnknownOutcomeError("reset"), *errors]
    cluster = world.cluster(computes=0, provider=provider)
    cluster.add_nodes("compute", 3, "image", "debian", "big", "default")
    report = await cluster.start()
    assert len(report.alive) == world.cloud.launched == 3
    nodes = (await recorded(world)).values()
    assert {node.instance_id for node in nodes} == set(world.cloud.running)


async def test_an_unknown_outcome_that_cannot_be_looked_up_is_not_forgotten() -> None:
    world = World()
    expired = UnauthorizedError("expired")
    provider = FickleCloudProvider(world.cloud)
    provider.launch_errors = [UnknownOutcomeError("reset"), expired]
    provider.find_errors, provider.terminate_error = [expired], expired
    cluster = world.cluster(computes=0, provider=provider)
    cluster.add_nodes("compute", 3, "image", "debian", "big", "default")
    with pytest.raises(UnauthorizedError):
        await cluster.start()
    assert len(world.cloud.running) == len(await recorded(world)) == 3
    provider.terminate_error = None
    await cluster.stop()
    await assert_nothing_left(world)


async def test_an_unknown_outcome_that_is_listed_late_is_undone_with_its_start() -> (
    None
):
    world = World()
    expired = UnauthorizedError("expired")
    provider = FickleCloudProvider(world.cloud, faults=FaultPlan(list_lag=3))
    provider.launch_errors = [UnknownOutcomeError("reset"), expired]
    provider.find_errors = [expired]
    cluster = world.cluster(computes=0, provider=provider)
    cluster.add_nodes("compute", 3, "image", "debian", "big", "default")
    with pytest.raises(UnauthorizedError):
        await cluster.start()
    assert world.cloud.launched == 3
    await assert_nothing_left(world)


async def unanswered(world: World) -> Cluster:
    """Return a cluster whose frontend runs, but its launch was never answered."""
    faults = FaultPlan(lost_answers=1, boot_delay=20)
    provider = world.provider(faults, tokens=False, settle_window=60)
    cluster = world.cluster(computes=1, provider=provider)
    with anyio.move_on_after(20) as scope:
        await cluster.frontend.start()
    assert scope.cancelled_caught
    assert len(world.cloud.running) == 1
    assert cluster.frontend.instance_id == ""
    return cluster


async def test_stopping_a_node_ends_the_instance_of_an_unanswered_order() -> None:
    world = World()
    node = (await unanswered(world)).frontend
    await node.stop()
    assert world.cloud.running == []
    assert (await recorded(world))[node.name].state is NodeState.TERMINATED


async def test_removing_a_node_ends_the_instance_of_an_unanswered_order() -> None:
    world = World()
    cluster = await unanswered(world)
    await cluster.remove_node("frontend001")
    assert world.cloud.running == []
    assert set(await recorded(world)) == {"compute001"}


async def test_settling_an_unanswered_order_takes_no_time_of_a_start() -> None:
    world = World()
    cluster = await unanswered(world)
    world.cloud.instances.clear()
    begun = anyio.current_time()
    report = await cluster.start(timeout=30)
    assert len(report.alive) == len(world.cloud.running) == 2
    assert anyio.current_time() - begun > 60


async def test_a_straggler_without_an_answer_leaves_no_instance_behind() -> None:
    world = World()
    provider = world.provider(FaultPlan(lost_answers=1), tokens=False, settle_window=60)
    cluster = world.cluster(computes=0, provider=provider)
    cluster.add_nodes("compute", 2, "image", "debian", "big", "default")
    cluster.add_node("frontend", "image", "debian", "small", "default")
    report = await cluster.start(timeout=20, min_nodes={"compute": 0, "frontend": 0})
    assert [fault.node for fault in report.failed] == ["compute001", "compute002"]
    assert world.cloud.launched == 3
    assert world.cloud.running == [cluster.frontend.instance_id]


async def test_a_growth_that_cannot_be_undone_keeps_what_has_an_instance() -> None:
    world = World()
    provider = FickleCloudProvider(world.cloud)
    cluster = world.cluster(computes=1, provider=provider)
    await cluster.start()
    provider.terminate_error = UnauthorizedError("expired")
    provider.faults = FaultPlan(dead=frozenset({"compute002"}))
    with pytest.raises(StartTimeoutError, match="compute002"):
        await cluster.resize("compute", 2, timeout=20)
    assert len(world.cloud.running) == 3
    assert "compute002" in await recorded(world)
    provider.terminate_error = None
    await cluster.stop()
    await assert_nothing_left(world)


# What the cloud shows, or does not


@pytest.mark.parametrize("seconds", [1, 1000])
async def test_a_node_that_answers_is_not_failed_for_want_of_a_listing(
    seconds: float,
) -> None:
    world = World()
    cluster = world.cluster(computes=1)
    await cluster.start()
    await anyio.sleep(100)
    hide(world, cluster.frontend.instance_id, seconds)
    before = set(world.cloud.running)
    assert (await cluster.start()).launched == ()
    await cluster.refresh()
    assert set(world.cloud.running) == before
    assert (await recorded(world))["frontend001"].state is NodeState.ALIVE


async def test_a_node_missing_twice_that_does_not_answer_is_failed() -> None:
    world = World()
    provider = world.provider()
    cluster = world.cluster(computes=1, provider=provider)
    await cluster.start()
    await anyio.sleep(100)
    provider.faults = FaultPlan(dead=frozenset({"compute001"}))
    hide(world, cluster.get_node_by_name("compute001").instance_id, 1000)
    await cluster.refresh()
    states = {name: node.state for name, node in (await recorded(world)).items()}
    assert states == {"compute001": NodeState.FAILED, "frontend001": NodeState.ALIVE}
    assert len(world.cloud.running) == 2


def hide(world: World, instance_id: str, seconds: float) -> None:
    """Leave an instance out of all listings for some time."""
    world.cloud.instances[instance_id].listed_at = anyio.current_time() + seconds


async def test_an_instance_that_vanishes_while_booting_is_told_early() -> None:
    world = World()
    cluster = world.cluster(
        computes=2, faults=FaultPlan(boot_delay={"compute002": 1e6})
    )

    async def lose() -> None:
        await anyio.sleep(20)
        del world.cloud.instances[cluster.get_node_by_name("compute002").instance_id]

    async with anyio.create_task_group() as group:
        group.start_soon(lose)
        report = await cluster.start(timeout=300, min_nodes={"compute": 1})
    assert 20 < anyio.current_time() < 60
    assert [(fault.node, fault.step) for fault in report.failed] == [
        ("compute002", "boot")
    ]
    assert "vanished" in report.failed[0].message
    assert len(world.cloud.running) == 2


class FinishingCloudProvider(FakeCloudProvider):
    """Has a second step, which fails for some nodes and a number of times."""

    failing: frozenset[str] = frozenset()
    error: ProviderError = TransientError("503")
    times = 0

    async def finish(self, instances: Sequence[Instance]) -> Sequence[Instance]:
        if self.times and self.failing & {instance.name for instance in instances}:
            self.times -= 1
            raise self.error
        return instances


async def test_a_second_step_that_fails_for_good_fails_its_own_node_only() -> None:
    world = World()
    provider = FinishingCloudProvider(world.cloud)
    provider.failing, provider.times = frozenset({"compute003"}), 1000
    provider.error = QuotaError("no address left")
    cluster = world.cluster(provider=provider)
    report = await cluster.start(timeout=100, min_nodes={"compute": 2})
    assert [fault.error for fault in report.failed] == [provider.error]
    assert len(report.alive) == len(world.cloud.running) == 3
    assert (await recorded(world))["compute003"].state is NodeState.FAILED


async def test_a_second_step_that_may_yet_succeed_is_repeated() -> None:
    world = World()
    provider = FinishingCloudProvider(world.cloud)
    provider.failing, provider.times = frozenset({"compute003"}), 8
    report = await world.cluster(provider=provider).start(timeout=300)
    assert report.ok
    assert provider.times == 0
    assert world.cloud.launched == len(world.cloud.running) == 4


@pytest.mark.parametrize("true", [True, False])
async def test_a_single_node_is_alive_by_the_host_key_that_the_cloud_shows(
    true: bool,
) -> None:
    class ShowingCloudProvider(FakeCloudProvider):
        async def host_keys(self, ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
            shown = self.cloud.instances[ids[0]].host_key if true else fake_key("other")
            return {ids[0]: [shown]}

    world = World()
    provider = ShowingCloudProvider(world.cloud)
    provider.capabilities = Capabilities(cloud_host_keys=True)
    cluster = world.cluster(computes=1, provider=provider, host_keys="cloud")
    await cluster.frontend.start()
    assert await cluster.frontend.is_alive() is true
    keys = (await recorded(world))["frontend001"].host_keys
    (instance_id,) = world.cloud.running
    assert (world.cloud.instances[instance_id].host_key in keys) is true


def test_orders_of_a_thousand_and_more_nodes_are_as_few_as_they_can_be() -> None:
    spec = NodeSpec(
        kind="compute",
        image_id="image",
        image_user="debian",
        flavor="big",
        security_group="default",
    )
    names = [f"compute{index:03d}" for index in range(1, 1501)]
    batches = list(batches_of([NodeRecord(name=n, spec=spec) for n in names], 100))
    assert len(batches) == 15
    assert [name for _, batch in batches for name in batch] == names
