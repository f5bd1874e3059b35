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
    StartError,
)
from aioelasticluster.model.events import Event, NodeMoved
from aioelasticluster.model.reports import StartReport
from aioelasticluster.model.states import NodeState
from tests.clouds.ec2.clusters import (
    NoSsh,
    alive,
    cluster_on,
    made,
    new_key,
    provider_for,
    quicken,
    unrecorded,
)
from tests.clouds.ec2.running import Ec2Endpoint, why_no_hosts

NODES = 12

#: How long (seconds) a start, or a stop, may take however much goes wrong.
BOUND = 30.0

SEEDS = [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 8))]

#: Faults that come by chance, at any request.
STORMS: dict[str, dict[str, Any]] = {
    "throttled": {"throttle_share": 0.3},
    "unavailable": {"unavailable_share": 0.3},
    "truncated": {"truncate_share": 0.3},
    "aborted": {"abort_share": 0.3},
    "reset": {"reset_share": 0.2},
    "launches reset": {"reset_share": 0.3, "actions": ["RunInstances"]},
    "first launch reset": {"reset_share": 1.0, "actions": ["RunInstances"], "times": 1},
    "all of it": dict.fromkeys(
        (
            "abort_share",
            "reset_share",
            "throttle_share",
            "truncate_share",
            "unavailable_share",
        ),
        0.06,
    ),
}

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


async def started(ec2: Ec2Endpoint, cluster: Cluster, **how: Any) -> StartReport:
    """Start a cluster in bounded time; what is reported is what there is."""
    with anyio.fail_after(BOUND):
        report = await cluster.start(timeout=BOUND, **how)
    running = {one["id"] for one in ec2.instances("running")}
    nodes = {node.name: node.instance_id for node in cluster.get_all_nodes()}
    assert {nodes[name] for name in report.alive} == running
    assert len(report.alive) == len(running)
    assert not await unrecorded(ec2, cluster.repository)
    return report


async def refused(ec2: Ec2Endpoint, cluster: Cluster, **how: Any) -> StartError:
    """Start a cluster in vain, in bounded time; nothing stays."""
    with anyio.fail_after(BOUND):
        with pytest.raises(StartError) as caught:
            await cluster.start(timeout=BOUND, **how)
    assert not alive(ec2)
    assert not made(ec2)
    assert not await cluster.repository.load_all()
    return caught.value


async def ended(ec2: Ec2Endpoint, cluster: Cluster) -> None:
    """Stop a cluster in bounded time; nothing stays."""
    with anyio.fail_after(BOUND):
        await cluster.stop()
    assert not alive(ec2)
    assert not made(ec2)
    assert not await cluster.repository.load_all()


def launched_twice(ec2: Ec2Endpoint) -> list[tuple[str, int]]:
    """Return places in orders (token, index) that were launched more than once."""
    places = [(one["token"], one["index"]) for one in ec2.instances()]
    return [place for place in set(places) if places.count(place) > 1]


# Requests that fail


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("storm", STORMS)
async def test_a_cluster_gets_through_requests_that_fail(
    ec2: Ec2Endpoint, tmp_path: Path, storm: str, seed: int
) -> None:
    cluster = cluster_on(ec2, tmp_path, NODES // 2, kinds=("frontend", "compute"))
    ec2.behave(seed=seed, **STORMS[storm])
    report = await started(ec2, cluster)

    assert seed > 1 or any(one["fault"] or one["code"] for one in ec2.requests())
    assert report.ok
    assert len(report.alive) == len(ec2.instances()) == NODES
    assert not launched_twice(ec2)
    await ended(ec2, cluster)


@pytest.mark.skipif(bool(why_no_hosts()), reason=why_no_hosts())
@pytest.mark.parametrize("storm", ["throttled", "all of it"])
async def test_real_nodes_come_up_while_requests_fail(
    ec2_hosts: Ec2Endpoint, tmp_path: Path, storm: str
) -> None:
    ec2_hosts.behave(boot_seconds=0.1, stop_seconds=0.1, **STORMS[storm])
    cluster = cluster_on(ec2_hosts, tmp_path, 4, hosts=True)
    report = await started(ec2_hosts, cluster)
    results = await cluster.run("echo here")

    assert not report.unrotated
    assert {result.stdout for result in results.values()} == {"here\n"}
    assert len(results) == 4
    await ended(ec2_hosts, cluster)


async def test_a_launch_without_an_answer_is_repeated_and_launches_once(
    ec2: Ec2Endpoint, tmp_path: Path
) -> None:
    provider = provider_for(ec2)
    provider.launch_patience = 0.25
    cluster = cluster_on(ec2, tmp_path, NODES, provider=provider)
    ec2.behave(hang_share=1.0, actions=["RunInstances"], times=2)
    report = await started(ec2, cluster)

    assert report.ok
    assert len(ec2.requests("RunInstances")) == 3
    assert len({one["token"] for one in ec2.instances()}) == 1
    assert len(ec2.instances()) == NODES
    await ended(ec2, cluster)


@pytest.mark.parametrize("fault", ["abort", "hang", "reset", "truncate"])
async def test_launches_that_are_never_answered_are_found_by_their_token(
    ec2: Ec2Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr("aioelasticluster.engine.retry.TRANSIENT_TRIES", 2)
    provider = provider_for(ec2)
    provider.launch_patience = 0.3
    cluster = cluster_on(ec2, tmp_path, NODES, provider=provider)
    ec2.behave(actions=["RunInstances"], **{f"{fault}_share": 1.0})
    report = await started(ec2, cluster)

    assert report.ok
    assert len({one["token"] for one in ec2.instances()}) == 1
    assert len(ec2.instances()) == NODES
    await ended(ec2, cluster)


async def test_a_cloud_that_never_recovers_is_given_up_and_nothing_stays(
    ec2: Ec2Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioelasticluster.engine.retry.TRANSIENT_TRIES", 2)
    cluster = cluster_on(ec2, tmp_path, NODES)
    ec2.behave(unavailable_share=1.0, actions=["RunInstances"])
    with anyio.fail_after(BOUND), pytest.raises(StartError) as caught:
        await cluster.start(timeout=1)

    assert len(caught.value.report.failed) == NODES
    assert not ec2.instances()
    assert not made(ec2)
    assert not await cluster.repository.load_all()


@pytest.mark.parametrize(
    ("lag", "window"), [(1.0, 2.0), pytest.param(5.0, 6.0, marks=pytest.mark.soak)]
)
async def test_instances_that_are_listed_late_are_waited_for(
    ec2: Ec2Endpoint, tmp_path: Path, lag: float, window: float
) -> None:
    ec2.behave(list_lag=lag)
    provider = provider_for(ec2)
    provider.settle_window = window
    cluster = cluster_on(ec2, tmp_path, NODES, provider=provider)
    report = await started(ec2, cluster)

    assert report.ok
    assert len(ec2.instances()) == NODES
    await ended(ec2, cluster)


async def test_what_is_stopped_before_it_is_listed_does_not_stay(
    ec2: Ec2Endpoint, tmp_path: Path
) -> None:
    ec2.behave(list_lag=1.0, boot_seconds=60.0)
    provider = provider_for(ec2)
    provider.settle_window = 2.0
    cluster = cluster_on(ec2, tmp_path, NODES, provider=provider)
    with anyio.fail_after(BOUND), pytest.raises(StartError):
        await cluster.start(timeout=0.5)

    assert len(ec2.instances()) == NODES
    assert not alive(ec2)
    assert not made(ec2)


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
