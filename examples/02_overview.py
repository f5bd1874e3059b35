"""ElastiCluster's two overview programs as coroutines, on this machine, with Dask.

    pip install aioelasticluster
    python examples/02_overview.py

The first starts a cluster, sets it up and stops it. The second starts its nodes one by
one, polls them, stores the cluster, and stops it in another event loop.
"""

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncssh

from aioelasticluster import (
    AnsibleSetupProvider,
    Cluster,
    ElasticlusterError,
    LocalCloudProvider,
    SqliteRepository,
)

IMAGE = "any"  # instances on this machine have no image


def plan(name: str, key: Path) -> Cluster:
    """Plan a frontend and two compute nodes; nothing is launched yet."""
    cloud_provider = LocalCloudProvider()
    setup_provider = AnsibleSetupProvider(
        {"frontend": ["dask_scheduler"], "compute": ["dask_worker"]}
    )
    cluster = Cluster(
        name, cloud_provider, setup_provider, "overview", f"{key}.pub", str(key)
    )
    cluster.add_node("frontend", IMAGE, "debian", "small", "default")
    cluster.add_nodes("compute", 2, IMAGE, "debian", "small", "default")
    return cluster


async def start_and_set_up(cluster: Cluster) -> None:
    """Do it all at once: the library launches, waits and sets up."""
    try:
        print(await cluster.start())
        print(await cluster.setup())
    finally:
        await cluster.stop()
    print(f"{cluster.name} is stopped")


async def start_one_by_one(cluster: Cluster, repository: SqliteRepository) -> None:
    """Start each node, wait until all are alive, and store the cluster."""
    for node in cluster.get_all_nodes():
        await node.start()
    waiting = cluster.get_all_nodes()
    while waiting:
        waiting = [node for node in waiting if not await node.is_alive()]
        await asyncio.sleep(0.1)
    for node in cluster.get_all_nodes():
        print(f"{node.name} is {node.state} at {node.addresses[0]}")
    await repository.save(cluster)


async def stop_stored(cluster: Cluster, repository: SqliteRepository) -> None:
    """Use the same objects in another event loop; stop what the repository knows."""
    alive = [node.name for node in cluster.get_all_nodes() if await node.is_alive()]
    print(f"still alive: {', '.join(alive)}")
    for stored in await repository.get_all():
        print(f"stored: {stored}")
    reloaded = await repository.get(cluster.name)
    await reloaded.stop()
    print(f"{cluster.name} is stopped, {len(await repository.get_all())} are stored")


def main(folder: Path) -> None:
    """Run both programs."""
    key = folder / "key"
    key.touch(mode=0o600)
    pair = asyncssh.generate_private_key("ssh-ed25519")
    pair.write_private_key(key)
    pair.write_public_key(f"{key}.pub")

    asyncio.run(start_and_set_up(plan("at-once", key)))

    cluster = plan("one-by-one", key)
    repository = SqliteRepository(folder / "clusters.sqlite")
    try:
        asyncio.run(start_one_by_one(cluster, repository))
        asyncio.run(stop_stored(cluster, repository))
    finally:
        asyncio.run(cluster.stop())  # no error if it is stopped already


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        try:
            main(Path(folder))
        except ElasticlusterError as error:
            sys.exit(str(error))
        except KeyboardInterrupt:
            sys.exit("interrupted")
