"""A cluster's whole life on any test cloud with real hosts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from aioelasticluster import AnsibleSetupProvider, Cluster, ClusterState
from aioelasticluster.repositories.base import AbstractClusterRepository
from tests.clouds.clusters import unrecorded
from tests.clouds.endpoint import Endpoint

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


async def lives(
    cloud: Endpoint,
    cluster: Cluster,
    repository: AbstractClusterRepository,
    *,
    paused: str,
    made: Counter[str],
) -> None:
    """Take four compute nodes and a frontend through all that can be done with them.

    `paused` is what the cloud calls an instance that is; `made` is how much of each
    kind there is beside the instances of six nodes. Nothing is left at the end.
    """
    report = await cluster.start()
    assert (report.ok, len(report.alive)) == (True, 5)
    assert not report.unrotated
    homes = await cluster.run("pwd")
    assert len({result.stdout for result in homes.values()}) == 5

    assert len((await cluster.resize("compute", 6)).launched) == 2
    await cluster.remove_node("compute002")
    assert await unrecorded(cloud, repository) == set()
    assert len(cloud.alive()) == 6

    assert (await cluster.setup()).ok
    names = await names_on(cluster)
    assert names == {name: name for name in names}
    assert len(names) == 6
    assert "compute002" not in names

    await cluster.pause()
    assert cluster.state is ClusterState.PAUSED
    assert len(cloud.instances(paused)) == 6
    assert len((await cluster.resume()).alive) == 6
    assert await names_on(cluster) == names  # the disks are still there

    found = {kind: len(things) for kind, things in cloud.made().items()}
    assert Counter(found) == made
    await cluster.stop()
    assert cloud.alive() == set()
    assert cloud.made() == {}
    assert await repository.get_all() == []
