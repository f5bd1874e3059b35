"""A cluster's whole life on Compute Engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from aioelasticluster import ClusterState, SqliteRepository
from tests.clouds.ec2.test_life import ansible, names_on
from tests.clouds.gce.clusters import (
    alive,
    cluster_on,
    made,
    node_of,
    quicken,
    unrecorded,
)
from tests.clouds.gce.running import GceEndpoint


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
    cluster.add_node("frontend", **node_of(gce_hosts) | {"flavor": "e2-medium"})
    report = await cluster.start()
    assert (report.ok, len(report.alive)) == (True, 5)
    assert not report.unrotated
    homes = await cluster.run("pwd")
    assert len({result.stdout for result in homes.values()}) == 5

    assert len((await cluster.resize("compute", 6)).launched) == 2
    await cluster.remove_node("compute002")
    assert await unrecorded(gce_hosts, repository) == set()
    assert len(alive(gce_hosts)) == 6

    assert (await cluster.setup()).ok
    names = await names_on(cluster)
    assert names == {name: name for name in names}
    assert len(names) == 6
    assert "compute002" not in names

    await cluster.pause()
    assert cluster.state is ClusterState.PAUSED
    assert len(gce_hosts.instances("TERMINATED")) == 6
    assert len((await cluster.resume()).alive) == 6
    assert await names_on(cluster) == names  # the disks are still there

    assert len(made(gce_hosts)["disks"]) == 6
    assert len(made(gce_hosts)["firewalls"]) == 2
    await cluster.stop()
    assert gce_hosts.instances() == []
    assert made(gce_hosts) == {}
    assert await repository.get_all() == []
