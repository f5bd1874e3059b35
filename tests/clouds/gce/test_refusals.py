"""What Compute Engine has no room for, or takes on and then fails to do."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from aioelasticluster.errors import (
    CapacityError,
    InvalidRequestError,
    ProviderError,
    QuotaError,
    UnauthorizedError,
)
from aioelasticluster.model.states import NodeState
from tests.clouds.bounded import BOUND, ended, nothing_left, refused, started
from tests.clouds.clusters import alive
from tests.clouds.gce.clusters import cluster_on, provider_for, quicken
from tests.clouds.gce.running import GceEndpoint

NODES = 12

#: What makes instances.
BULK = "instances.bulkInsert"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)


@pytest.fixture
def gce(gce: GceEndpoint) -> GceEndpoint:
    gce.behave(boot_seconds=0.1, stop_seconds=0.1)
    return gce


# No room


@pytest.mark.parametrize("told", [True, False])
async def test_one_zone_s_room_is_filled_before_the_next_one_is_asked(
    gce: GceEndpoint, tmp_path: Path, told: bool
) -> None:
    first, second, third, _ = gce.zones
    gce.behave(capacity={first: 5}, partial_errors=told)
    cluster = cluster_on(gce, tmp_path, NODES, zones=[first, second, third])
    report = await started(gce, cluster)

    assert report.ok
    zones = [one["zone"] for one in gce.instances()]
    assert [zones.count(z) for z in (first, second, third)] == [5, NODES - 5, 0]
    await ended(gce, cluster)


async def test_another_flavor_is_taken_where_there_is_no_room_for_the_first(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    gce.behave(capacity={f"{gce.zone}/{gce.flavor}": 4})
    cluster = cluster_on(gce, tmp_path, NODES, flavors="e2-medium")
    report = await started(gce, cluster)

    assert report.ok
    flavors = [one["machine_type"] for one in gce.instances()]
    assert [flavors.count(f) for f in (gce.flavor, "e2-medium")] == [4, NODES - 4]
    await ended(gce, cluster)


async def test_no_room_anywhere_ends_the_start_and_says_where(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    gce.behave(capacity={"": 5})
    zones = list(gce.zones)
    error = await refused(gce, cluster_on(gce, tmp_path, NODES, zones=zones))

    reasons = [fault.error for fault in error.report.failed if fault.step == "launch"]
    assert all(isinstance(reason, CapacityError) for reason in reasons)
    assert {reason.zone for reason in reasons} == {zones[-1]}  # type: ignore[union-attr]


@pytest.mark.parametrize("early", [True, False], ids=["refused", "in the operation"])
async def test_a_quota_is_enough_for_the_least_that_is_wanted(
    gce: GceEndpoint, tmp_path: Path, early: bool
) -> None:
    provider = provider_for(gce, tmp_path)
    provider.max_batch = NODES // 2
    gce.behave(quota=NODES // 2, quota_early=early)
    cluster = cluster_on(gce, tmp_path, NODES, provider=provider)
    report = await started(gce, cluster, min_nodes={"compute": NODES // 2})

    assert len(report.alive) == len(report.failed) == NODES // 2
    assert {type(fault.error) for fault in report.failed} == {QuotaError}
    gce.behave(quota=NODES)
    assert (await started(gce, cluster)).ok
    await ended(gce, cluster)


@pytest.mark.parametrize("early", [True, False], ids=["refused", "in the operation"])
async def test_a_quota_that_is_not_enough_leaves_nothing(
    gce: GceEndpoint, tmp_path: Path, early: bool
) -> None:
    gce.behave(quota=NODES // 2, quota_early=early)
    cluster = cluster_on(gce, tmp_path, NODES)
    error = await refused(gce, cluster, min_nodes={"compute": NODES // 2 + 1})

    reasons = {type(f.error) for f in error.report.failed if f.step == "launch"}
    assert QuotaError in reasons


# Operations that end in error


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ZONE_RESOURCE_POOL_EXHAUSTED", CapacityError),
        ("QUOTA_EXCEEDED", QuotaError),
    ],
)
async def test_an_order_that_fails_when_it_is_carried_out_is_told_with_its_reason(
    gce: GceEndpoint, tmp_path: Path, code: str, kind: type[ProviderError]
) -> None:
    gce.behave(operation_errors={code: 1000})
    error = await refused(gce, cluster_on(gce, tmp_path, NODES))

    assert {type(fault.error) for fault in error.report.failed} == {kind}
    assert len(gce.requests(BULK)) == 1


@pytest.mark.parametrize("told", [True, False])
async def test_single_instances_that_fail_when_they_are_made_are_ordered_again(
    gce: GceEndpoint, tmp_path: Path, told: bool
) -> None:
    gce.behave(operation_errors={"INTERNAL_ERROR": 3}, partial_errors=told)
    cluster = cluster_on(gce, tmp_path, NODES)
    report = await started(gce, cluster)

    assert report.ok
    assert len(gce.requests(BULK)) == 2
    await ended(gce, cluster)


async def test_an_order_that_fails_through_google_s_own_fault_is_sent_as_another(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    gce.behave(operation_errors={"INTERNAL_ERROR": NODES})
    cluster = cluster_on(gce, tmp_path, NODES)
    report = await started(gce, cluster)

    assert report.ok
    assert len(gce.requests(BULK)) == 2
    await ended(gce, cluster)


async def test_a_firewall_rule_that_fails_ends_the_start_and_nothing_is_left(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    gce.behave(operation_errors={"firewalls.insert/PERMISSIONS_ERROR": 1})
    cluster = cluster_on(gce, tmp_path, NODES, ssh_from="192.0.2.0/24")
    with anyio.fail_after(BOUND), pytest.raises(UnauthorizedError):
        await cluster.start(timeout=BOUND)

    assert not gce.requests(BULK)
    await nothing_left(gce, cluster)


async def test_an_image_that_is_deleted_meanwhile_ends_the_start(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    gce.behave(operation_errors={"RESOURCE_NOT_FOUND": 1000})
    cluster = cluster_on(gce, tmp_path, NODES)
    with anyio.fail_after(BOUND), pytest.raises(InvalidRequestError):
        await cluster.start(timeout=BOUND)

    assert len(gce.requests(BULK)) == 1
    await nothing_left(gce, cluster)


@pytest.mark.parametrize("code", ["INTERNAL_ERROR", "RESOURCE_NOT_READY"])
async def test_an_instance_that_google_fails_to_delete_is_deleted_anew(
    gce: GceEndpoint, tmp_path: Path, code: str
) -> None:
    cluster = cluster_on(gce, tmp_path, NODES, ssh_from="192.0.2.0/24")
    assert (await started(gce, cluster)).ok
    gce.behave(
        operation_errors={f"instances.delete/{code}": 5, f"firewalls.delete/{code}": 1}
    )
    await ended(gce, cluster)

    # Each that failed: asked about once, then begun anew.
    assert len(gce.requests("instances.delete")) == NODES + 5 + 5
    assert len(gce.requests("firewalls.delete")) <= 5


async def test_an_instance_that_nobody_may_delete_ends_the_stop_and_no_other_one_s_end(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    cluster = cluster_on(gce, tmp_path, NODES)
    assert (await started(gce, cluster)).ok
    gce.behave(operation_errors={"instances.delete/PERMISSIONS_ERROR": 2})
    with anyio.fail_after(BOUND), pytest.raises(UnauthorizedError):
        await cluster.stop()

    assert len(alive(gce)) == 2
    assert await cluster.repository.load_all()
    await ended(gce, cluster)


async def test_a_removal_that_google_fails_to_carry_out_is_tried_again(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    cluster = cluster_on(gce, tmp_path, 3)
    assert (await started(gce, cluster)).ok
    gce.behave(operation_errors={"instances.delete/INTERNAL_ERROR": 1})
    with anyio.fail_after(BOUND):
        await cluster.remove_node("compute002")

    assert len(alive(gce)) == 2
    await ended(gce, cluster)


@pytest.mark.parametrize("suspend", [True, False])
async def test_a_pause_that_google_fails_to_carry_out_is_tried_again(
    gce: GceEndpoint, tmp_path: Path, suspend: bool
) -> None:
    provider = provider_for(gce, tmp_path, suspend=suspend)
    cluster = cluster_on(gce, tmp_path, 3, provider=provider)
    assert (await started(gce, cluster)).ok
    verb = "suspend" if suspend else "stop"
    gce.behave(operation_errors={f"instances.{verb}/INTERNAL_ERROR": 2})
    with anyio.fail_after(BOUND):
        await cluster.pause()

    state = "SUSPENDED" if suspend else "TERMINATED"
    assert len(gce.instances(state)) == 3
    await ended(gce, cluster)


async def test_no_room_for_a_paused_node_is_told_and_it_stays(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    cluster = cluster_on(gce, tmp_path, 3)
    assert (await started(gce, cluster)).ok
    before = alive(gce)
    await cluster.pause()
    gce.behave(capacity={gce.zone: 2})
    with anyio.fail_after(BOUND), pytest.raises(CapacityError) as caught:
        await cluster.resume()

    assert caught.value.zone == gce.zone
    states = sorted(node.state for node in cluster.get_all_nodes())
    assert states == [NodeState.BOOTING, NodeState.BOOTING, NodeState.PAUSED]
    gce.behave(capacity={})
    with anyio.fail_after(BOUND):
        assert (await cluster.resume()).ok
    assert alive(gce) == before
    await ended(gce, cluster)


async def test_spot_instances_that_are_taken_back_are_found_by_a_refresh(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    cluster = cluster_on(gce, tmp_path, NODES, spot=True)
    assert (await started(gce, cluster)).ok
    gce.behave(spot_loss=0.05)
    await anyio.sleep(0.3)  # as long as a listing may be late
    assert not gce.instances()
    with anyio.fail_after(BOUND):
        await cluster.refresh()

    assert {node.state for node in cluster.get_all_nodes()} == {NodeState.FAILED}
    gce.behave(spot_loss=0.0)
    assert (await started(gce, cluster)).ok
    await ended(gce, cluster)
