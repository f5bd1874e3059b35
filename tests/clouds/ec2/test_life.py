"""A cluster's whole life on EC2, and how many requests it takes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from aioelasticluster import (
    BotoCloudProvider,
    NodeState,
    SqliteRepository,
)
from tests.clouds.clusters import NoSsh, alive, made, new_key
from tests.clouds.ec2.clusters import cluster_on, quicken
from tests.clouds.ec2.running import Ec2Endpoint
from tests.clouds.living import ansible, lives


@pytest.mark.ansible
async def test_a_whole_life_leaves_nothing(
    ec2_hosts: Ec2Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quicken(monkeypatch)
    repository = SqliteRepository(tmp_path / "clusters.sqlite")
    setup = ansible(tmp_path)
    cluster = cluster_on(
        ec2_hosts, tmp_path, 4, repository=repository, hosts=True, setup=setup
    )
    cluster.add_node("frontend", **ec2_hosts.node() | {"flavor": "t3.small"})
    made = Counter(key_pairs=1)
    await lives(ec2_hosts, cluster, repository, paused="stopped", made=made)
    assert len(ec2_hosts.instances("terminated")) == 7
    assert len(ec2_hosts.instances()) == 7


@pytest.mark.parametrize(
    ("count", "start", "stop"),
    [
        (100, 20, 8),
        pytest.param(1000, 80, 8, marks=[pytest.mark.soak, pytest.mark.timeout(180)]),
    ],
)
async def test_requests_do_not_grow_with_the_number_of_nodes(
    ec2: Ec2Endpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    start: int,
    stop: int,
) -> None:
    # As shipped: no pause is shortened; only the limits of earlier tests are forgotten.
    monkeypatch.setattr("aioelasticluster.providers.ec2.limits._all", {})
    ec2.behave(latency=0.02, boot_seconds=2.0)
    repository, key = SqliteRepository(tmp_path / "clusters.sqlite"), new_key(tmp_path)
    cloud = BotoCloudProvider(ec2.url, ec2.region, ec2.access_key, ec2.secret_key)

    cluster = cluster_on(
        ec2,
        tmp_path,
        count,
        provider=cloud,
        repository=repository,
        transport=NoSsh(key),
    )
    report = await cluster.start()
    assert len(report.alive) == count
    asked = Counter(request["action"] for request in ec2.requests())
    assert asked.total() <= start, asked
    assert asked["RunInstances"] == count // 100

    ec2.forget_requests()
    reloaded = await repository.get("demo", cloud_provider=cloud, transport=NoSsh(key))
    assert {node.state for node in reloaded.get_all_nodes()} == {NodeState.ALIVE}
    await reloaded.stop()
    asked = Counter(request["action"] for request in ec2.requests())
    assert asked.total() <= stop, asked
    assert alive(ec2) == set()
    assert made(ec2) == {}
