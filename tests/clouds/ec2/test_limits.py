"""AWS's published limits: kept to, shared by clusters, and yielded to other clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from aioelasticluster import BotoCloudProvider, Cluster
from aioelasticluster._aio.tasks import together
from aioelasticluster.model.reports import StartReport
from aioelasticluster.model.tags import Tags
from aioelasticluster.providers.base import LaunchOrder, Preparation
from tests.clouds.clusters import KEY_NAME, NoSsh, alive, made, new_key, unrecorded
from tests.clouds.ec2.client import Api
from tests.clouds.ec2.clusters import cluster_on, provider_for, quicken
from tests.clouds.ec2.running import Ec2Endpoint

#: How long (seconds) ten launches take at least: five at once, two a second then.
LEAST = 2.5

#: How long they may take.
MOST = LEAST * 1.1

REFUSED = "RequestLimitExceeded"


@pytest.fixture(autouse=True)
def quick(ec2: Ec2Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)
    ec2.behave(throttle=True, boot_seconds=0.1, stop_seconds=0.1)


def cluster_of(
    ec2: Ec2Endpoint, folder: Path, count: int, *, batch: int = 100, **how: Any
) -> Cluster:
    """Return a cluster that launches so many at a time."""
    provider = provider_for(ec2)
    provider.max_batch = batch
    provider.poll_pauses = provider.end_pauses = (0.3, 0.5)
    transport = NoSsh(new_key(folder))
    return cluster_on(ec2, folder, count, provider=provider, transport=transport, **how)


def refusals(requests: Sequence[dict[str, Any]]) -> list[str]:
    """Return the actions that were refused as one too many."""
    return [one["action"] for one in requests if one["code"] == REFUSED]


def spread(requests: Sequence[dict[str, Any]]) -> float:
    """Return how long (seconds) after the first request the last one came."""
    times = [one["at"] for one in requests]
    return float(max(times) - min(times))


async def test_ten_orders_of_a_hundred_go_as_fast_as_the_limits_allow(
    ec2: Ec2Endpoint, tmp_path: Path
) -> None:
    cluster = cluster_of(ec2, tmp_path, 1)
    async with cluster.cloud_provider as provider:
        found = await provider.prepare(preparation_of(cluster, tmp_path))
        orders = [order_of(cluster, found, number, 100) for number in range(10)]

        async def launch(order: LaunchOrder) -> None:
            assert len((await provider.launch(order)).instances) == 100

        await together(*(partial(launch, order) for order in orders))

    launches = ec2.requests("RunInstances")
    assert len(launches) == 10
    assert spread(launches) <= MOST
    assert not refusals(ec2.requests())
    assert len(alive(ec2)) == 1000


def preparation_of(cluster: Cluster, folder: Path) -> Preparation:
    """Return what a cluster needs in the cloud."""
    return Preparation(
        cluster_id=cluster.id,
        cluster=cluster.name,
        key_name=KEY_NAME,
        public_key=new_key(folder).with_suffix(".pub").read_text(),
        specs=[node.record.spec for node in cluster.get_all_nodes()],
    )


def order_of(
    cluster: Cluster, resources: Mapping[str, str], number: int, count: int
) -> LaunchOrder:
    """Return an order of so many nodes."""
    (node,) = cluster.get_all_nodes()
    tags = Tags(
        cluster_id=cluster.id,
        cluster=cluster.name,
        repository="mem-1",
        owner="somebody",
        token=f"{number:032}",
        kind=node.kind,
        names=tuple(f"{node.kind}{number * count + n:04}" for n in range(count)),
        login="debian",
    )
    return LaunchOrder(
        token=tags.token,
        spec=node.record.spec,
        tags=tags,
        user_data="#cloud-config\n{}\n",
        public_key="",
        resources=resources,
    )


@pytest.mark.soak
async def test_a_cluster_of_a_thousand_nodes_is_never_refused_a_request(
    ec2: Ec2Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioelasticluster.providers.ec2.provider.POLL_INTERVAL", 1.0)
    cluster = cluster_of(ec2, tmp_path, 1000)
    provider, kind = cluster.cloud_provider, BotoCloudProvider
    provider.poll_pauses, provider.end_pauses = kind.poll_pauses, kind.end_pauses
    report = await cluster.start(timeout=60)

    assert report.ok
    assert len(ec2.instances("running")) == 1000
    assert not await unrecorded(ec2, cluster.repository)
    assert len(ec2.requests("RunInstances")) == 10
    assert spread(ec2.requests("RunInstances")) <= MOST
    await cluster.stop(timeout=60)
    assert not refusals(ec2.requests())
    assert not alive(ec2)
    assert not made(ec2)


async def test_clusters_of_one_account_share_its_limits(
    ec2: Ec2Endpoint, tmp_path: Path
) -> None:
    clusters = [
        cluster_of(ec2, tmp_path, 25, batch=5, name=name) for name in ("one", "two")
    ]
    reports: list[StartReport] = []

    async def live(cluster: Cluster) -> None:
        reports.append(await cluster.start(timeout=30))
        await cluster.stop(timeout=30)

    await together(*(partial(live, cluster) for cluster in clusters))

    assert [report.ok for report in reports] == [True, True]
    launches = ec2.requests("RunInstances")
    assert len(launches) == 10
    assert spread(launches) >= 0.9 * LEAST
    assert not refusals(ec2.requests())
    assert not alive(ec2)


async def test_another_client_s_launches_slow_ours_down_and_nobody_hears_of_it(
    ec2: Ec2Endpoint, api: Api, tmp_path: Path
) -> None:
    theirs = [api.launch()[0]["InstanceId"] for _ in range(5)]
    ec2.forget_requests()
    cluster = cluster_of(ec2, tmp_path, 4, batch=1)
    async with anyio.create_task_group() as group:
        group.start_soon(launch_every_second, api, theirs)
        report = await cluster.start(timeout=30)
        group.cancel_scope.cancel()

    assert report.ok
    assert len({one["token"] for one in ours(ec2)}) == 4
    assert not await unrecorded(ec2, cluster.repository) - set(theirs)
    # All four are too many at first; after that most are in time.
    launches = ec2.requests("RunInstances")
    mine = [one for one in launches if "TagSpecifications" in one["parameters"]]
    assert 4 <= len(refusals(mine)) <= 10
    await cluster.stop(timeout=30)
    assert alive(ec2) <= set(theirs)


async def launch_every_second(api: Api, launched: list[str]) -> None:
    """Be another program with the same account."""
    while True:
        await anyio.sleep(1.0)
        try:
            found = await anyio.to_thread.run_sync(api.launch)
        except api.ec2.exceptions.ClientError:
            continue
        launched.append(found[0]["InstanceId"])


def ours(ec2: Ec2Endpoint) -> list[dict[str, Any]]:
    """Return the instances that bear a cluster's tags."""
    return [one for one in ec2.instances() if "aioec-cluster-id" in one["tags"]]


@pytest.mark.soak
async def test_more_clusters_at_once_than_an_account_may_prepare_in_a_burst(
    ec2: Ec2Endpoint, tmp_path: Path
) -> None:
    cluster = cluster_of(ec2, tmp_path, 1)
    preparation = preparation_of(cluster, tmp_path)
    async with cluster.cloud_provider as provider:

        async def prepare(number: int) -> None:
            cluster_id = f"{number:08}{0:024}"
            await provider.prepare(replace(preparation, cluster_id=cluster_id))

        await together(*(partial(prepare, number) for number in range(60)))

    imports = ec2.requests("ImportKeyPair")
    assert len(imports) == 60
    assert spread(imports) >= 9 / 5  # fifty at once, and five a second then
    # Requests do not travel evenly: a few arrive too early, and are repeated.
    assert len(refusals(ec2.requests())) <= 12
