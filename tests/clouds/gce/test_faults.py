"""What goes wrong in Compute Engine: told, in time, and nothing is unrecorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest

from aioelasticluster import Cluster
from aioelasticluster.errors import ProviderError
from aioelasticluster.model.states import NodeState
from aioelasticluster.providers.base import AbstractCloudProvider
from tests.clouds.bounded import BOUND, ended, started
from tests.clouds.clusters import alive
from tests.clouds.endpoint import Endpoint
from tests.clouds.faulting import NODES, Faults, with_seeds
from tests.clouds.gce.clusters import cluster_on, provider_for, quicken
from tests.clouds.gce.running import GceEndpoint

BULK = "instances.bulkInsert"

#: Faults that come by chance at requests that only Google knows.
STORMS: dict[str, dict[str, Any]] = {
    "tokens": {"unavailable_share": 0.5, "actions": ["token"]},
    "tokens cut": {
        "abort_share": 0.3,
        "reset_share": 0.3,
        "truncate_share": 0.3,
        "actions": ["token"],
    },
    "waits reset": {"reset_share": 0.5, "actions": ["zoneOperations.wait"]},
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)


@pytest.fixture
def gce(gce: GceEndpoint) -> GceEndpoint:
    gce.behave(boot_seconds=0.1, stop_seconds=0.1)
    return gce


class TestOnGoogle(Faults):
    launching = BULK
    wishes: ClassVar = {"ssh_from": "192.0.2.0/24"}

    @pytest.fixture
    def cloud(self, gce: GceEndpoint) -> GceEndpoint:
        return gce

    @pytest.fixture
    def hosts(self, gce_hosts: GceEndpoint) -> GceEndpoint:
        return gce_hosts

    def provider(self, cloud: Endpoint, folder: Path) -> AbstractCloudProvider:
        assert isinstance(cloud, GceEndpoint)
        return provider_for(cloud, folder)

    def cluster(
        self, cloud: Endpoint, folder: Path, count: int = NODES, **how: Any
    ) -> Cluster:
        assert isinstance(cloud, GceEndpoint)
        return cluster_on(cloud, folder, count, **how)

    @pytest.mark.parametrize(
        ("storm", "seed"), [*with_seeds(STORMS, ("tokens", "tokens cut"))]
    )
    async def test_a_cluster_gets_through_google_s_own_requests_that_fail(
        self, cloud: GceEndpoint, tmp_path: Path, storm: str, seed: int
    ) -> None:
        await self.gets_through(cloud, tmp_path, STORMS[storm], seed)


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


async def test_a_token_that_ends_before_its_time_is_replaced(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    gce.behave(token_seconds=0.4, boot_seconds=0.8)
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
