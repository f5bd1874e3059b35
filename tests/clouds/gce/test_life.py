"""A cluster's whole life on Compute Engine."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from aioelasticluster import SqliteRepository
from tests.clouds.gce.clusters import cluster_on, quicken
from tests.clouds.gce.running import GceEndpoint
from tests.clouds.living import ansible, lives


@pytest.mark.ansible
async def test_a_whole_life_leaves_nothing(
    gce_hosts: GceEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quicken(monkeypatch)
    repository = SqliteRepository(tmp_path / "clusters.sqlite")
    cluster = cluster_on(
        gce_hosts,
        tmp_path,
        4,
        repository=repository,
        hosts=True,
        setup=ansible(tmp_path),
        ssh_from="127.0.0.0/8",
    )
    cluster.add_node("frontend", **gce_hosts.node() | {"flavor": "e2-medium"})
    made = Counter(disks=6, firewalls=2)
    await lives(gce_hosts, cluster, repository, paused="TERMINATED", made=made)
    assert gce_hosts.instances() == []
