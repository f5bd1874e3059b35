"""A cluster's whole life on the real services."""

from __future__ import annotations

from pathlib import Path

import pytest

from aioelasticluster import ClusterState, SqliteRepository
from tests.clouds.living import ansible, names_on
from tests.clouds.openstack.clusters import (
    NODE,
    alive,
    cluster_on,
    made,
    provider_for,
    quicken,
    unrecorded,
)
from tests.clouds.openstack.rig import OpenStackRig
from tests.clouds.openstack.sharing import MARKS

pytestmark = [*MARKS, pytest.mark.timeout(120, func_only=True)]


@pytest.mark.ansible
async def test_a_whole_life_leaves_nothing(
    rig: OpenStackRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not rig.no_hosts, rig.no_hosts
    quicken(monkeypatch)
    repository = SqliteRepository(tmp_path / "clusters.sqlite")
    cluster = cluster_on(
        provider_for(rig),
        tmp_path,
        4,
        repository=repository,
        hosts=True,
        setup=ansible(tmp_path),
    )
    cluster.add_node("frontend", **NODE | {"flavor": "m1.small"})
    report = await cluster.start()
    assert (report.ok, len(report.alive)) == (True, 5)
    assert not report.unrotated
    homes = await cluster.run("pwd")
    assert len({result.stdout for result in homes.values()}) == 5

    assert len((await cluster.resize("compute", 6)).launched) == 2
    await cluster.remove_node("compute002")
    assert await unrecorded(rig, repository) == set()
    assert len(alive(rig)) == 6

    assert (await cluster.setup()).ok
    names = await names_on(cluster)
    assert names == {name: name for name in names}
    assert len(names) == 6

    await cluster.pause()
    assert cluster.state is ClusterState.PAUSED
    assert len(rig.servers("SHUTOFF")) == 6
    assert len((await cluster.resume()).alive) == 6
    assert await names_on(cluster) == names  # the disks are still there

    assert set(made(rig)) == {"keypairs", "server_groups"}
    await cluster.stop()
    assert alive(rig) == set()
    assert len(rig.servers()) == 7
    assert made(rig) == {}
    assert await repository.get_all() == []
