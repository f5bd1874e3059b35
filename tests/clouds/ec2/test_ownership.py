"""Whose instances they are: records that move, orphans, accounts, a shared poller."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from aioelasticluster import (
    Cluster,
    MemRepository,
    find_orphans,
    terminate_orphans,
)
from aioelasticluster._aio.tasks import together
from aioelasticluster.errors import ConfigurationError, WrongAccountError
from tests.clouds.clusters import KEY_NAME, alive, made, unrecorded
from tests.clouds.ec2.clusters import cluster_on, provider_for, quicken
from tests.clouds.ec2.running import Ec2Endpoint
from tests.support import RecordingSetup


@pytest.fixture(autouse=True)
def quick(ec2: Ec2Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)
    ec2.behave(boot_seconds=0.05, stop_seconds=0.05)


async def test_a_cluster_that_moves_takes_its_instances_along(
    ec2: Ec2Endpoint, tmp_path: Path
) -> None:
    here, there = MemRepository(), MemRepository()
    cluster = cluster_on(ec2, tmp_path, 2, repository=here)
    await cluster.start(timeout=10)
    await there.save(cluster)

    tags = {one["tags"]["aioec-repository"] for one in ec2.instances()}
    assert tags == {await there.id()}
    assert not await unrecorded(ec2, there)
    assert not await find_orphans(provider_for(ec2), there)
    assert all(one.foreign for one in await find_orphans(provider_for(ec2), here))
    await cluster.stop()
    assert not made(ec2)


async def test_orphans_are_found_by_their_tags_and_end_on_request(
    ec2: Ec2Endpoint, tmp_path: Path
) -> None:
    repository = MemRepository()
    lost = cluster_on(ec2, tmp_path, 3, name="lost", repository=repository)
    await lost.start(timeout=10)
    await repository.delete("lost")
    other = cluster_on(ec2, tmp_path, 1, name="other")
    await other.start(timeout=10)
    orphans = await find_orphans(provider_for(ec2), repository)
    assert sorted(one.node for one in orphans if not one.foreign) == [
        f"compute00{number}" for number in (1, 2, 3)
    ]
    with pytest.raises(ConfigurationError, match=other.id):
        await terminate_orphans(orphans)
    assert len(alive(ec2)) == 4
    await terminate_orphans(one for one in orphans if not one.foreign)

    assert alive(ec2) == {node.instance_id for node in other.get_all_nodes()}
    assert made(ec2) == {"key_pairs": [f"{KEY_NAME}-{other.id[:8]}"]}
    assert not await find_orphans(provider_for(ec2), other.repository)


async def test_clusters_that_wait_together_are_asked_about_together(
    ec2: Ec2Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioelasticluster.providers.ec2.provider.POLL_INTERVAL", 0.3)
    ec2.behave(boot_seconds=1.5)
    clusters = [cluster_on(ec2, tmp_path, 2, name=name) for name in ("one", "two")]

    async def start(cluster: Cluster) -> None:
        assert (await cluster.start(timeout=10)).ok

    await together(*(partial(start, cluster) for cluster in clusters))

    filters = [
        {one["Name"]: one["Values"] for one in request["parameters"]["Filters"]}
        for request in ec2.requests("DescribeInstances")
    ]
    polls = [one["tag:aioec-cluster-id"] for one in filters if "instance-id" in one]
    assert polls.count(sorted(cluster.id for cluster in clusters)) >= 3
    assert len(polls) <= 9  # as many as one of them would take


async def test_another_account_s_credentials_end_nothing(
    ec2: Ec2Endpoint, tmp_path: Path
) -> None:
    repository = MemRepository()
    cluster = cluster_on(ec2, tmp_path, 2, repository=repository)
    await cluster.start(timeout=10)
    found = await repository.get(
        "demo",
        cloud_provider=provider_for(ec2, other=True),
        setup_provider=RecordingSetup(),
    )
    with pytest.raises(WrongAccountError) as caught:
        await found.stop()

    assert ec2.account in caught.value.expected
    assert ec2.other_account in caught.value.found
    assert len(ec2.instances("running")) == 2
    assert [one.head.name for one in await repository.load_all()] == ["demo"]
    await cluster.stop()
    assert not alive(ec2)
