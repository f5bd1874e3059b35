"""What goes wrong in OpenStack: an error of a kind, or a cluster; nothing is lost."""

from __future__ import annotations

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
from aioelasticluster.model.reports import StartReport
from tests.clouds.clusters import KEY_NAME, new_key
from tests.clouds.openstack.clusters import (
    alive,
    cluster_on,
    made,
    provider_for,
    quicken,
    unrecorded,
)
from tests.clouds.openstack.proxy import FaultProxy
from tests.clouds.openstack.rig import OpenStackRig
from tests.clouds.openstack.sharing import MARKS
from tests.clouds.openstack.user import user
from tests.clouds.openstack.zones import Zones, zones_of

pytestmark = MARKS

#: How long (seconds) a start, or a stop, may take however much goes wrong.
BOUND = 45.0


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)


async def started(rig: OpenStackRig, cluster: Cluster, **how: Any) -> StartReport:
    """Start a cluster in bounded time; what is reported is what there is."""
    with anyio.fail_after(BOUND):
        report = await cluster.start(timeout=BOUND, **how)
    nodes = {node.name: node.instance_id for node in cluster.get_all_nodes()}
    active = {one["id"] for one in rig.servers("ACTIVE")}
    assert {nodes[name] for name in report.alive} == active
    assert await unrecorded(rig, cluster.repository) == set()
    return report


async def refused(rig: OpenStackRig, cluster: Cluster, **how: Any) -> Exception:
    """Start a cluster in vain, in bounded time; nothing stays. Return why."""
    before = made(rig)
    with anyio.fail_after(BOUND):
        with pytest.raises((StartError, ProviderError)) as caught:
            await cluster.start(timeout=BOUND, **how)
    assert alive(rig) == set()
    assert made(rig) == before
    assert await cluster.repository.load_all() == []
    return caught.value


async def ended(rig: OpenStackRig, cluster: Cluster) -> None:
    """Stop a cluster in bounded time; nothing stays."""
    with anyio.fail_after(BOUND):
        await cluster.stop()
    assert (alive(rig), made(rig)) == (set(), {})
    assert await cluster.repository.load_all() == []


def launches(rig: OpenStackRig) -> list[int]:
    """Return the answers to requests for servers."""
    return [
        one["status"]
        for one in rig.requests("nova", "POST")
        if one["path"].endswith("/servers")
    ]


# What the cloud does not have


@pytest.mark.parametrize(
    ("field", "wish"),
    [
        ("image_id", {"image_id": "windows"}),
        ("image_id", {"image_id": "9b2e7a0c-66fb-4a4e-8a63-4f6c0a3a1b11"}),
        ("flavor", {"flavor": "m9.gigantic"}),
        ("flavor", {"flavors": ["m9.gigantic"]}),
        ("network_ids", {"network_ids": "nowhere"}),
        ("security_group", {"security_group": "default,nobody"}),
        ("zones", {"zones": "mars"}),
        ("server_group", {"server_group": "nobody"}),
        (
            "floating_network_id",
            {"request_floating_ip": True, "floating_network_id": "private"},
        ),
    ],
)
async def test_what_the_cloud_does_not_have_is_named_before_anything_is_made(
    rig: OpenStackRig, tmp_path: Path, field: str, wish: dict[str, Any]
) -> None:
    error = await refused(rig, cluster_on(provider_for(rig), tmp_path, **wish))

    assert isinstance(error, InvalidRequestError)
    assert f"{field}='" in str(error)
    found = rig.requests()
    assert {one["method"] for one in found if one["service"] != "keystone"} == {"GET"}


async def test_another_key_under_the_name_is_refused_and_stays(
    rig: OpenStackRig, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    public = new_key(other).with_suffix(".pub").read_text()
    with user(rig) as demo:
        demo.sdk.create_keypair(KEY_NAME, public_key=public)
    error = await refused(rig, cluster_on(provider_for(rig), tmp_path))

    assert isinstance(error, InvalidRequestError)
    assert f"ssh_key_name='{KEY_NAME}'" in str(error)
    assert made(rig) == {"keypairs": [KEY_NAME]}


@pytest.mark.soak
async def test_an_address_that_the_network_does_not_have_is_refused_by_nova(
    rig: OpenStackRig, tmp_path: Path
) -> None:
    cluster = cluster_on(provider_for(rig), tmp_path, 1, fixed_ip="192.0.2.1")
    error = await refused(rig, cluster)
    assert "192.0.2.1" in str(error)


# Limits


async def test_a_quota_is_enough_for_the_least_that_is_wanted(
    rig: OpenStackRig, tmp_path: Path
) -> None:
    rig.set_quota("demo", instances=3)
    cluster = cluster_on(provider_for(rig), tmp_path, 5)
    report = await started(rig, cluster, min_nodes={"compute": 1})

    assert (len(report.alive), len(report.failed)) == (3, 2)
    assert {type(fault.error) for fault in report.failed} == {QuotaError}
    assert "Quota exceeded for instances" in str(report.failed[0].error)
    # Nova says so at once, or only when it builds them, as it counts.
    assert launches(rig) in ([202, 403], [202, 202])
    await ended(rig, cluster)


async def test_a_quota_that_is_not_enough_leaves_nothing(
    rig: OpenStackRig, tmp_path: Path
) -> None:
    rig.set_quota("demo", instances=3)
    cluster = cluster_on(provider_for(rig), tmp_path, 5)
    error = await refused(rig, cluster, min_nodes={"compute": 5})

    assert isinstance(error, StartError)
    assert "Quota exceeded for instances" in str(error)
    assert QuotaError in {type(fault.error) for fault in error.report.failed}


@pytest.mark.parametrize(
    ("limits", "wish"),
    [
        ({"key_pairs": 0}, {}),
        ({"server_groups": 0}, {"server_group": "soft-anti-affinity"}),
        ({"server_group_members": 1}, {"server_group": "soft-anti-affinity"}),
        ({"security_groups": 1}, {"security_group": "w", "ssh_from": "127.0.0.0/8"}),
        (
            {"security_group_rules": 5},
            {"security_group": "w", "ssh_from": "127.0.0.0/8"},
        ),
        pytest.param({"ram": 600}, {}, marks=pytest.mark.soak),
    ],
    ids=str,
)
async def test_other_quotas_are_told_as_such(
    rig: OpenStackRig, tmp_path: Path, limits: dict[str, int], wish: dict[str, Any]
) -> None:
    rig.set_quota("demo", **limits)
    error = await refused(rig, cluster_on(provider_for(rig), tmp_path, 2, **wish))

    if isinstance(error, StartError):
        (error,) = {
            type(fault.error): fault.error
            for fault in error.report.failed
            if isinstance(fault.error, QuotaError)
        }.values()
    assert isinstance(error, QuotaError)
    assert "uota" in str(error)


@pytest.mark.parametrize(
    ("limits", "groups"),
    [
        ({"server_group_members": 2}, 1),
        pytest.param({"server_groups": 0}, 0, marks=pytest.mark.soak),
    ],
    ids=str,
)
async def test_nodes_that_need_not_be_apart_are_launched_where_groups_have_no_room(
    rig: OpenStackRig, tmp_path: Path, limits: dict[str, int], groups: int
) -> None:
    rig.set_quota("demo", **limits)
    cluster = cluster_on(provider_for(rig), tmp_path, 3)
    report = await started(rig, cluster)

    assert report.ok
    assert len(made(rig).get("server_groups", ())) == groups
    assert launches(rig) == [403, 202] if groups else [202]
    await ended(rig, cluster)


@pytest.mark.soak
async def test_a_node_without_a_floating_address_fails_alone(
    rig: OpenStackRig, tmp_path: Path
) -> None:
    rig.set_quota("demo", floating_ips=1)
    cluster = cluster_on(provider_for(rig), tmp_path, 2, request_floating_ip=True)
    report = await started(rig, cluster, min_nodes={"compute": 1})

    (fault,) = report.failed
    assert isinstance(fault.error, QuotaError)
    await ended(rig, cluster)


# No room


async def test_no_room_anywhere_ends_the_start_and_says_so(
    rig: OpenStackRig, tmp_path: Path
) -> None:
    cluster = cluster_on(provider_for(rig), tmp_path, 2, flavor=rig.too_big)
    error = await refused(rig, cluster)

    assert isinstance(error, StartError)
    assert CapacityError in {type(fault.error) for fault in error.report.failed}
    assert "No valid host" in str(error)
    assert launches(rig) == [202]


async def test_another_flavor_is_taken_where_there_is_no_room_for_the_first(
    rig: OpenStackRig, tmp_path: Path
) -> None:
    cluster = cluster_on(
        provider_for(rig), tmp_path, 2, flavor=rig.too_big, flavors=rig.flavor
    )
    report = await started(rig, cluster)

    assert report.ok
    assert (len(alive(rig)), len(rig.servers())) == (2, 4)
    await ended(rig, cluster)


@pytest.mark.parametrize(
    "full",
    [
        pytest.param(False, id="closed"),
        pytest.param(True, id="full", marks=pytest.mark.soak),
    ],
)
async def test_another_zone_is_taken_where_there_is_no_room_in_the_first(
    rig: OpenStackRig, tmp_path: Path, zones: Zones, full: bool
) -> None:
    if full:
        zones.fill_first()
    else:
        zones.close_first()
    cluster = cluster_on(provider_for(rig), tmp_path, 2, zones=zones.names)
    report = await started(rig, cluster)

    assert report.ok
    hosts = {one["host"] for one in rig.servers("ACTIVE")}
    assert zones.first_host not in hosts
    assert launches(rig) == [202 if full else 400, 202]
    await ended(rig, cluster)


@pytest.fixture
def zones(rig: OpenStackRig) -> Any:
    with zones_of(rig) as found:
        yield found
        rig.reset()  # a host with servers does not change its zone


async def test_more_servers_than_hosts_cannot_keep_apart_from_one_another(
    rig: OpenStackRig, tmp_path: Path
) -> None:
    cluster = cluster_on(provider_for(rig), tmp_path, 5, server_group="anti-affinity")
    error = await refused(rig, cluster, min_nodes={"compute": 5})

    assert isinstance(error, StartError)
    assert CapacityError in {type(fault.error) for fault in error.report.failed}


# Requests that fail


async def test_a_launch_without_an_answer_is_found_and_not_repeated(
    rig: OpenStackRig, tmp_path: Path, proxy: FaultProxy
) -> None:
    proxy.cut("POST")
    provider = provider_for(rig, compute_endpoint=proxy.url)
    cluster = cluster_on(provider, tmp_path, 2)
    report = await started(rig, cluster)

    assert report.ok
    assert launches(rig) == [202]
    assert len(rig.servers()) == 2
    await ended(rig, cluster)


@pytest.mark.soak
async def test_a_launch_that_is_answered_and_listed_late_is_found_and_not_repeated(
    rig: OpenStackRig, tmp_path: Path, proxy: FaultProxy
) -> None:
    proxy.delay(1.2, "POST", "/servers")
    proxy.hide(1.5)
    provider = provider_for(rig, compute_endpoint=proxy.url)
    provider.launch_patience, provider.settle_window = 0.5, 2.5
    cluster = cluster_on(provider, tmp_path, 1)
    report = await started(rig, cluster)

    assert report.ok
    assert launches(rig) == [202]
    assert len(rig.servers()) == 1
    await ended(rig, cluster)


async def test_a_launch_that_nova_never_heard_of_is_sent_again(
    rig: OpenStackRig, tmp_path: Path, proxy: FaultProxy
) -> None:
    proxy.refuse(429, "POST", "/servers", retry_after=1)
    proxy.lose("POST")
    for status in (500, 503):
        proxy.refuse(status, "POST", "/servers")
    provider = provider_for(rig, compute_endpoint=proxy.url)
    cluster = cluster_on(provider, tmp_path, 1)
    report = await started(rig, cluster)

    assert report.ok
    assert launches(rig) == [202]
    await ended(rig, cluster)


async def test_an_end_whose_answer_is_lost_or_that_is_refused_is_asked_for_again(
    rig: OpenStackRig, tmp_path: Path, proxy: FaultProxy
) -> None:
    provider = provider_for(rig, compute_endpoint=proxy.url)
    cluster = cluster_on(provider, tmp_path, 2)
    assert (await started(rig, cluster)).ok
    proxy.cut("DELETE")
    proxy.lose("DELETE")
    proxy.refuse(503, "DELETE")
    proxy.refuse(429, "DELETE", retry_after=0.5)
    await ended(rig, cluster)

    done = [one["does"] for one in proxy.requests("DELETE") if one["does"]]
    assert sorted(done) == ["cut", "lose", "refuse", "refuse"]


@pytest.mark.soak
async def test_a_cluster_gets_through_a_storm_of_refusals(
    rig: OpenStackRig, tmp_path: Path, proxy: FaultProxy
) -> None:
    for status in (503, 429, 500):
        proxy.refuse(status, times=3)
    proxy.cut("GET", ".*", times=2)
    proxy.cut("POST", "/os-.*")
    provider = provider_for(rig, compute_endpoint=proxy.url)
    cluster = cluster_on(provider, tmp_path, 1)
    report = await started(rig, cluster)

    assert report.ok
    assert len(rig.servers()) == 1
    proxy.refuse(503, times=3)
    proxy.cut("DELETE", ".*", times=3)
    await ended(rig, cluster)


async def test_a_cloud_that_never_recovers_is_given_up_and_nothing_stays(
    rig: OpenStackRig,
    tmp_path: Path,
    proxy: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aioelasticluster.engine.retry.TRANSIENT_TRIES", 2)
    proxy.refuse(503, "POST", "/servers", times=1000)
    provider = provider_for(rig, compute_endpoint=proxy.url)
    cluster = cluster_on(provider, tmp_path, 2)
    with anyio.fail_after(BOUND), pytest.raises(StartError) as caught:
        await cluster.start(timeout=2)

    assert len(caught.value.report.failed) == 2
    assert rig.servers() == []
    assert made(rig) == {}
    assert await cluster.repository.load_all() == []
