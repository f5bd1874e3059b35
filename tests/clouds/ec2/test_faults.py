"""What goes wrong in EC2: an end that the report tells, in time, nothing unrecorded."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anyio
import pytest

from aioelasticluster import Cluster
from aioelasticluster.errors import (
    CapacityError,
    InvalidRequestError,
    ProviderError,
    QuotaError,
)
from aioelasticluster.model.events import Event, NodeMoved
from aioelasticluster.model.states import NodeState
from aioelasticluster.providers.base import AbstractCloudProvider
from tests.clouds.bounded import BOUND, ended, refused, started
from tests.clouds.clusters import NoSsh, new_key, unrecorded
from tests.clouds.ec2.clusters import cluster_on, provider_for, quicken
from tests.clouds.ec2.running import Ec2Endpoint
from tests.clouds.endpoint import Endpoint
from tests.clouds.faulting import NODES, Faults

#: Why EC2 ends what it has accepted, and what that is to our callers.
REASONS: dict[str, type[Exception]] = {
    "Client.InstanceInitiatedShutdown": ProviderError,
    "Client.InternalError": ProviderError,
    "Client.InvalidSnapshot.NotFound": InvalidRequestError,
    "Client.VolumeLimitExceeded": QuotaError,
    "Server.InsufficientInstanceCapacity": CapacityError,
    "Server.InternalError": ProviderError,
    "Server.SpotInstanceShutdown": CapacityError,
    "Server.SpotInstanceTermination": CapacityError,
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)


@pytest.fixture
def ec2(ec2: Ec2Endpoint) -> Ec2Endpoint:
    ec2.behave(boot_seconds=0.1, stop_seconds=0.1)
    return ec2


class TestOnEc2(Faults):
    launching = "RunInstances"

    @pytest.fixture
    def cloud(self, ec2: Ec2Endpoint) -> Ec2Endpoint:
        return ec2

    @pytest.fixture
    def hosts(self, ec2_hosts: Ec2Endpoint) -> Ec2Endpoint:
        return ec2_hosts

    def provider(self, cloud: Endpoint, folder: Path) -> AbstractCloudProvider:
        assert isinstance(cloud, Ec2Endpoint)
        return provider_for(cloud)

    def cluster(
        self, cloud: Endpoint, folder: Path, count: int = NODES, **how: Any
    ) -> Cluster:
        assert isinstance(cloud, Ec2Endpoint)
        return cluster_on(cloud, folder, count, **how)

    async def gets_through(self, cloud: Endpoint, *storm: Any) -> None:
        await super().gets_through(cloud, *storm)
        # In no order's place there ever was more than one instance.
        places = [(one["token"], one["index"]) for one in cloud.instances()]
        assert len(places) == len(set(places)) == NODES


# No room


async def test_one_zone_s_room_is_filled_before_the_next_one_is_asked(
    ec2: Ec2Endpoint, tmp_path: Path
) -> None:
    first, second, third = ec2.zones
    ec2.behave(capacity={first: 5})
    cluster = cluster_on(ec2, tmp_path, NODES, zones=[first, second])
    report = await started(ec2, cluster)

    assert report.ok
    zones = [one["zone"] for one in ec2.instances()]
    assert [zones.count(z) for z in (first, second, third)] == [5, NODES - 5, 0]
    await ended(ec2, cluster)


async def test_another_flavor_is_taken_where_there_is_no_room_for_the_first(
    ec2: Ec2Endpoint, tmp_path: Path
) -> None:
    zone = ec2.zones[0]
    ec2.behave(capacity={f"{zone}/c5.large": 4})
    cluster = cluster_on(ec2, tmp_path, NODES, zones=zone, flavors="m5.large")
    report = await started(ec2, cluster)

    assert report.ok
    flavors = [one["flavor"] for one in ec2.instances()]
    assert [flavors.count(f) for f in ("c5.large", "m5.large")] == [4, NODES - 4]
    await ended(ec2, cluster)


async def test_no_room_anywhere_ends_the_start_and_says_where(
    ec2: Ec2Endpoint, tmp_path: Path
) -> None:
    ec2.behave(capacity={"": 5})
    zones = list(ec2.zones)
    error = await refused(ec2, cluster_on(ec2, tmp_path, NODES, zones=zones))

    reasons = [fault.error for fault in error.report.failed if fault.step == "launch"]
    assert all(isinstance(reason, CapacityError) for reason in reasons)
    assert {reason.zone for reason in reasons} == {zones[-1]}  # type: ignore[union-attr]
    assert len(ec2.instances("terminated")) == 5


async def test_a_quota_is_enough_for_the_least_that_is_wanted(
    ec2: Ec2Endpoint, tmp_path: Path
) -> None:
    ec2.behave(quota=NODES // 2)
    cluster = cluster_on(ec2, tmp_path, NODES)
    report = await started(ec2, cluster, min_nodes={"compute": NODES // 2})

    assert len(report.alive) == len(report.failed) == NODES // 2
    assert {type(fault.error) for fault in report.failed} == {QuotaError}
    states = [node.state for node in cluster.get_all_nodes()]
    assert states.count(NodeState.FAILED) == NODES // 2
    ec2.behave(quota=NODES)
    assert (await started(ec2, cluster)).ok
    await ended(ec2, cluster)


async def test_a_quota_that_is_not_enough_leaves_nothing(
    ec2: Ec2Endpoint, tmp_path: Path
) -> None:
    ec2.behave(quota=NODES // 2)
    cluster = cluster_on(ec2, tmp_path, NODES)
    error = await refused(ec2, cluster, min_nodes={"compute": NODES // 2 + 1})

    reasons = {type(f.error) for f in error.report.failed if f.step == "launch"}
    assert QuotaError in reasons
    assert "InstanceLimitExceeded" in str(error)


# Instances that end by themselves


async def test_instances_that_never_run_are_reported_with_ec2_s_reason(
    ec2: Ec2Endpoint, tmp_path: Path
) -> None:
    ec2.behave(boot_failures=dict.fromkeys(REASONS, 1))
    cluster = cluster_on(ec2, tmp_path, NODES)
    left = NODES - len(REASONS)
    report = await started(ec2, cluster, min_nodes={"compute": left})

    told = {code: f.error for f in report.failed for code in REASONS if code in str(f)}
    assert {code: type(error) for code, error in told.items()} == REASONS
    assert {fault.step for fault in report.failed} == {"boot"}
    assert len(report.alive) == left
    await ended(ec2, cluster)


async def test_too_many_instances_that_never_run_end_the_start(
    ec2: Ec2Endpoint, tmp_path: Path
) -> None:
    ec2.behave(boot_failures={"Server.InternalError": 0.3}, seed=7)
    error = await refused(ec2, cluster_on(ec2, tmp_path, NODES))

    assert "Server.InternalError" in str(error)


async def test_spot_instances_that_are_reclaimed_during_the_start_are_told(
    ec2: Ec2Endpoint, tmp_path: Path
) -> None:
    ec2.behave(spot_loss=0.2)
    transport = NoSsh(new_key(tmp_path), ec2)
    transport.deaf = {f"compute{number:03}" for number in range(1, NODES + 1)}
    cluster = cluster_on(ec2, tmp_path, NODES, spot=True, transport=transport)
    error = await refused(ec2, cluster)

    faults = error.report.failed
    assert any(isinstance(fault.error, CapacityError) for fault in faults)
    assert "Server.SpotInstanceTermination" in str(error)


async def test_spot_instances_that_are_reclaimed_later_are_found_by_a_refresh(
    ec2: Ec2Endpoint, tmp_path: Path
) -> None:
    cluster = cluster_on(ec2, tmp_path, 3, kinds=("frontend",))
    node = (ec2.image_id, ec2.login, ec2.flavor, "default")
    cluster.add_nodes("compute", NODES, *node, spot=True)
    assert (await started(ec2, cluster)).ok
    ec2.behave(spot_loss=0.05)
    await anyio.sleep(0.3)  # as long as a listing may be late
    heard: list[Event] = []
    async with anyio.create_task_group() as group:
        group.start_soon(listen, cluster, heard)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(BOUND):
            await cluster.refresh()

    lost = {node.name for node in cluster.get_all_nodes() if node.kind == "compute"}
    assert {e.node for e in failures(heard)} == lost
    assert all("Server.SpotInstanceTermination" in e.reason for e in failures(heard))
    assert all(node.alive for node in cluster.nodes["frontend"])
    assert not await unrecorded(ec2, cluster.repository)
    ec2.behave(spot_loss=0.0)
    assert (await started(ec2, cluster)).ok
    await ended(ec2, cluster)


async def listen(cluster: Cluster, heard: list[Event]) -> None:
    heard.extend([event async for event in cluster.events()])


def failures(heard: Iterable[Event]) -> list[NodeMoved]:
    """Return the moves to failed."""
    moves = (event for event in heard if isinstance(event, NodeMoved))
    return [event for event in moves if event.after is NodeState.FAILED]
