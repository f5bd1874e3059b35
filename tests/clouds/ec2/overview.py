"""ElastiCluster's overview programs as its users write them for EC2.

Run as `python -m tests.clouds.ec2.overview URL IMAGE FOLDER`. The first starts a
cluster, sets it up and stops it. The second starts the nodes one by one, polls them,
stores the cluster, and stops it in another event loop, found again by its name.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import asyncssh

from aioelasticluster import (
    AnsibleSetupProvider,
    BotoCloudProvider,
    Cluster,
    SqliteRepository,
)

#: What the role of the user's own playbook does on each node.
PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Say hello
      ansible.builtin.raw: echo hello > greeting
"""


def planned(name: str, url: str, image: str, folder: Path) -> Cluster:
    """Plan a frontend and two compute nodes; nothing is launched yet."""
    cloud_provider = BotoCloudProvider(url, "nova", "access_key", "secret_key")
    setup_provider = AnsibleSetupProvider(
        {"frontend": [], "compute": []},
        playbook=folder / "hello.yml",
        become=False,
        work_dir=folder / "work",
        cache_dir=folder / "cache",
    )
    cluster = Cluster(
        name,
        cloud_provider,
        setup_provider,
        "ssh_key_name",
        str(folder / "key.pub"),
        str(folder / "key"),
    )
    cluster.add_node("frontend", image, "debian", "t3.small", "default")
    cluster.add_nodes("compute", 2, image, "debian", "t3.small", "default")
    return cluster


async def start_and_set_up(cluster: Cluster) -> None:
    """Do it all at once: the library launches, waits and sets up."""
    try:
        say(await cluster.start())
        say(await cluster.setup())
        greetings = await cluster.run("cat greeting")
        say(*(result.stdout.strip() for result in greetings.values()))
    finally:
        await cluster.stop()


async def start_one_by_one(cluster: Cluster, repository: SqliteRepository) -> None:
    """Start each node, wait until all are alive, and store the cluster."""
    nodes = cluster.get_all_nodes()
    for node in nodes:
        await node.start()
    waiting = nodes
    while waiting:
        waiting = [node for node in waiting if not await node.is_alive()]
        await asyncio.sleep(0.1)
    say(*(f"{node.name} is {node.state}" for node in nodes))
    await repository.save(cluster)


async def stop_stored(name: str, url: str, repository: SqliteRepository) -> None:
    """Stop what the repository knows; the record holds no keys of the account."""
    cloud_provider = BotoCloudProvider(url, "nova", "access_key", "secret_key")
    cluster = await repository.get(name, cloud_provider=cloud_provider)
    say(cluster)
    await cluster.stop()
    say(f"{len(await repository.get_all())} are stored")


def main(url: str, image: str, folder: Path) -> None:
    """Run both programs."""
    pair = asyncssh.generate_private_key("ssh-ed25519")
    (folder / "key").touch(mode=0o600)
    pair.write_private_key(folder / "key")
    pair.write_public_key(folder / "key.pub")
    (folder / "hello.yml").write_text(PLAYBOOK)

    asyncio.run(start_and_set_up(planned("at-once", url, image, folder)))

    cluster = planned("one-by-one", url, image, folder)
    repository = SqliteRepository(folder / "clusters.sqlite")
    asyncio.run(start_one_by_one(cluster, repository))
    asyncio.run(stop_stored(cluster.name, url, repository))


def say(*what: object) -> None:
    """Tell the user."""
    print(*what, flush=True)  # noqa: T201  it is what its user reads


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
