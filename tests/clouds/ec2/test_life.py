"""A cluster's whole life on EC2, and how many requests it takes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from aioelasticluster import (
    AnsibleSetupProvider,
    BotoCloudProvider,
    Cluster,
    ClusterState,
    NodeState,
    SqliteRepository,
)
from tests.clouds.ec2.clusters import (
    NoSsh,
    alive,
    cluster_on,
    made,
    new_key,
    quicken,
    unrecorded,
)
from tests.clouds.ec2.running import Ec2Endpoint

#: Writes a file on each node.
PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Introduce yourself
      ansible.builtin.copy:
        content: "{{ inventory_hostname }}"
        dest: ~/name
        mode: "0600"
"""


def ansible(folder: Path) -> AnsibleSetupProvider:
    """Return a set-up with a playbook of the user's own."""
    (folder / "mine.yml").write_text(PLAYBOOK)
    return AnsibleSetupProvider(
        {"frontend": [], "compute": []},
        playbook=folder / "mine.yml",
        # The hosts share this machine's list of users, and have homes of their own.
        variables={"ansible_shell_type": "aioec_home"},
        become=False,
        work_dir=folder / "work",
        cache_dir=folder / "cache",
    )


async def names_on(cluster: Cluster) -> dict[str, str]:
    """Return what each node that is set up has in its file."""
    results = await cluster.run("cat name")
    assert all(result.ok for result in results.values()), results
    return {name: result.stdout.strip() for name, result in results.items()}


@pytest.mark.ansible
async def test_a_whole_life_leaves_nothing(
    ec2_hosts: Ec2Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quicken(monkeypatch)
    repository = SqliteRepository(tmp_path / "clusters.sqlite")
    cluster = cluster_on(
        ec2_hosts,
        tmp_path,
        4,
        repository=repository,
        hosts=True,
        setup=ansible(tmp_path),
    )
    cluster.add_node(
        "frontend", ec2_hosts.image_id, ec2_hosts.login, "t3.small", "default"
    )
    report = await cluster.start()
    assert (report.ok, len(report.alive)) == (True, 5)
    assert not report.unrotated
    homes = await cluster.run("pwd")
    assert len({result.stdout for result in homes.values()}) == 5

    assert len((await cluster.resize("compute", 6)).launched) == 2
    await cluster.remove_node("compute002")
    assert await unrecorded(ec2_hosts, repository) == set()
    assert len(alive(ec2_hosts)) == 6

    assert (await cluster.setup()).ok
    names = await names_on(cluster)
    assert names == {name: name for name in names}
    assert "compute002" not in names

    await cluster.pause()
    assert cluster.state is ClusterState.PAUSED
    assert len(ec2_hosts.instances("stopped")) == 6
    assert len((await cluster.resume()).alive) == 6
    assert await names_on(cluster) == names  # the disks are still there

    assert made(ec2_hosts)["key_pairs"] != []
    await cluster.stop()
    assert len(ec2_hosts.instances("terminated")) == 7
    assert len(ec2_hosts.instances()) == 7
    assert made(ec2_hosts) == {}
    assert await repository.get_all() == []


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
