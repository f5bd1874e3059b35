"""What goes wrong in Compute Engine: told, in time, and nothing is unrecorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from aioelasticluster.errors import ProviderError, StartError
from aioelasticluster.model.states import NodeState
from tests.clouds.gce.bounded import BOUND, BULK, ended, nothing_left, started
from tests.clouds.gce.clusters import alive, cluster_on, provider_for, quicken
from tests.clouds.gce.running import GceEndpoint, why_no_hosts

NODES = 12

#: Which faults come with every commit; the others, and other seeds, are soak tests.
OFTEN = (
    "all of it",
    "first launch reset",
    "reset",
    "tokens",
    "tokens cut",
    "truncated",
)

SEEDS = range(1, 8)

#: Faults that come by chance, at any request.
STORMS: dict[str, dict[str, Any]] = {
    "throttled": {"throttle_share": 0.3},
    "unavailable": {"unavailable_share": 0.3},
    "truncated": {"truncate_share": 0.3},
    "aborted": {"abort_share": 0.3},
    "reset": {"reset_share": 0.2},
    "launches reset": {"reset_share": 0.3, "actions": [BULK]},
    "first launch reset": {"reset_share": 1.0, "actions": [BULK], "times": 1},
    "waits reset": {"reset_share": 0.5, "actions": ["zoneOperations.wait"]},
    "tokens cut": {
        "abort_share": 0.3,
        "reset_share": 0.3,
        "truncate_share": 0.3,
        "actions": ["token"],
    },
    "tokens": {"unavailable_share": 0.5, "actions": ["token"]},
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


def storms() -> Iterator[Any]:
    """Yield faults with seeds; most are for a soak test."""
    for storm in STORMS:
        for seed in SEEDS:
            often = storm in OFTEN and seed == 1
            marks = () if often else pytest.mark.soak
            yield pytest.param(storm, seed, marks=marks, id=f"{storm}-{seed}")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)


@pytest.fixture
def gce(gce: GceEndpoint) -> GceEndpoint:
    gce.behave(boot_seconds=0.1, stop_seconds=0.1)
    return gce


# Requests that fail


@pytest.mark.parametrize(("storm", "seed"), [*storms()])
async def test_a_cluster_gets_through_requests_that_fail(
    gce: GceEndpoint, tmp_path: Path, storm: str, seed: int
) -> None:
    kinds = ("frontend", "compute")
    cluster = cluster_on(
        gce, tmp_path, NODES // 2, kinds=kinds, ssh_from="192.0.2.0/24"
    )
    gce.behave(seed=seed, **STORMS[storm])
    report = await started(gce, cluster)

    assert seed > 1 or any(one["fault"] or one["code"] for one in gce.requests())
    assert report.ok
    assert len(report.alive) == len(gce.instances()) == NODES
    await ended(gce, cluster)


@pytest.mark.skipif(bool(why_no_hosts()), reason=why_no_hosts())
async def test_real_nodes_come_up_while_requests_fail(
    gce_hosts: GceEndpoint, tmp_path: Path
) -> None:
    gce_hosts.behave(boot_seconds=0.1, stop_seconds=0.1, **STORMS["all of it"])
    cluster = cluster_on(gce_hosts, tmp_path, 4, hosts=True)
    report = await started(gce_hosts, cluster)
    results = await cluster.run("echo here")

    assert not report.unrotated
    assert {result.stdout for result in results.values()} == {"here\n"}
    assert len(results) == 4
    await ended(gce_hosts, cluster)


async def test_a_launch_without_an_answer_is_repeated_and_launches_once(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    provider = provider_for(gce, tmp_path)
    provider.launch_patience = 1.0
    cluster = cluster_on(gce, tmp_path, NODES, provider=provider)
    gce.behave(hang_share=1.0, actions=[BULK], times=1)
    report = await started(gce, cluster)

    assert report.ok
    assert len(gce.requests(BULK)) == 2
    assert len(gce.instances()) == NODES
    await ended(gce, cluster)


@pytest.mark.parametrize(
    "fault",
    [
        "reset",
        *(
            pytest.param(f, marks=pytest.mark.soak)
            for f in ("abort", "hang", "truncate")
        ),
    ],
)
async def test_launches_that_are_never_answered_are_found_by_their_token(
    gce: GceEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr("aioelasticluster.engine.retry.TRANSIENT_TRIES", 2)
    provider = provider_for(gce, tmp_path)
    provider.launch_patience = 0.5
    cluster = cluster_on(gce, tmp_path, NODES, provider=provider)
    gce.behave(actions=[BULK], **{f"{fault}_share": 1.0})
    report = await started(gce, cluster)

    assert report.ok
    assert len(gce.instances()) == NODES
    await ended(gce, cluster)


async def test_an_operation_that_nobody_can_wait_for_is_looked_up(
    gce: GceEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioelasticluster.engine.retry.TRANSIENT_TRIES", 2)
    cluster = cluster_on(gce, tmp_path, NODES)
    gce.behave(unavailable_share=1.0, actions=["zoneOperations.wait"])
    report = await started(gce, cluster)

    assert report.ok
    assert len(gce.instances()) == NODES
    await ended(gce, cluster)


async def test_a_cloud_that_never_recovers_is_given_up_and_nothing_stays(
    gce: GceEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioelasticluster.engine.retry.TRANSIENT_TRIES", 2)
    cluster = cluster_on(gce, tmp_path, NODES)
    gce.behave(unavailable_share=1.0, actions=[BULK])
    with anyio.fail_after(BOUND), pytest.raises(StartError) as caught:
        await cluster.start(timeout=1)

    assert len(caught.value.report.failed) == NODES
    assert not gce.instances()
    await nothing_left(gce, cluster)


async def test_a_token_that_ends_before_its_time_is_replaced(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    gce.behave(token_seconds=0.4, boot_seconds=1.5)
    cluster = cluster_on(gce, tmp_path, NODES)
    async with cluster.cloud_provider:
        report = await started(gce, cluster)
        assert report.ok
        assert len(gce.requests("token")) >= 2
        await ended(gce, cluster)


async def test_too_many_requests_in_a_minute_are_waited_out(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    gce.behave(rate_limit=8, rate_window=1.0)
    cluster = cluster_on(gce, tmp_path, NODES)
    report = await started(gce, cluster)

    assert report.ok
    assert len(gce.requests(BULK)) == 1
    gce.behave(rate_limit=0)
    await ended(gce, cluster)


async def test_too_many_operations_at_once_are_waited_out(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    provider = provider_for(gce, tmp_path)
    provider.max_batch = 3
    gce.behave(operations_limit=1)
    cluster = cluster_on(gce, tmp_path, NODES, provider=provider)
    assert (await started(gce, cluster)).ok
    gce.behave(operations_limit=0)
    await ended(gce, cluster)


# Lists that do not say everything


@pytest.mark.parametrize(
    ("lag", "window"), [(1.0, 2.0), pytest.param(5.0, 6.0, marks=pytest.mark.soak)]
)
async def test_instances_that_are_listed_late_are_waited_for(
    gce: GceEndpoint, tmp_path: Path, lag: float, window: float
) -> None:
    gce.behave(list_lag=lag)
    provider = provider_for(gce, tmp_path)
    provider.settle_window = window
    cluster = cluster_on(gce, tmp_path, NODES, provider=provider)
    report = await started(gce, cluster)

    assert report.ok
    assert len(gce.instances()) == NODES
    await ended(gce, cluster)


async def test_what_is_stopped_before_it_is_listed_does_not_stay(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    gce.behave(list_lag=1.0, boot_seconds=60.0)
    provider = provider_for(gce, tmp_path)
    provider.settle_window = 2.0
    cluster = cluster_on(gce, tmp_path, NODES, provider=provider)
    with anyio.fail_after(BOUND), pytest.raises(StartError):
        await cluster.start(timeout=0.5)

    assert len(gce.requests(BULK)) == 1
    await nothing_left(gce, cluster)


@pytest.mark.parametrize("unasked", [True, False])
async def test_nodes_of_a_zone_that_does_not_answer_are_unknown_and_not_gone(
    gce: GceEndpoint, tmp_path: Path, unasked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioelasticluster.engine.retry.TRANSIENT_TRIES", 2)
    cluster = cluster_on(gce, tmp_path, 3)
    assert (await started(gce, cluster)).ok
    before = alive(gce)
    gce.behave(unreachable=[gce.zone], partial_unasked=unasked)
    with anyio.fail_after(BOUND), pytest.raises(ProviderError):
        await cluster.refresh()
    assert [node.state for node in cluster.get_all_nodes()] == [NodeState.ALIVE] * 3
    with anyio.fail_after(BOUND), pytest.raises(ProviderError):
        await cluster.stop(timeout=5)

    assert [one.head.name for one in await cluster.repository.load_all()] == ["demo"]
    assert alive(gce) == before
    gce.behave(unreachable=[])
    await ended(gce, cluster)
