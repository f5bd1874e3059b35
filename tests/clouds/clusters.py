"""Clusters on any test cloud, with SSH or with a stand-in for it, and what is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncssh

from aioelasticluster import Cluster, MemRepository
from aioelasticluster.errors import UnreachableError
from aioelasticluster.providers.base import AbstractCloudProvider
from aioelasticluster.repositories.base import AbstractClusterRepository
from aioelasticluster.setup.base import AbstractSetupProvider
from aioelasticluster.ssh.base import Accept, Reached, SshTarget
from aioelasticluster.ssh.transport import SshTransport
from tests.clouds.endpoint import Endpoint
from tests.support import RecordingSetup

#: Under which name clusters look for the user's key pair.
KEY_NAME = "mine"

#: Cluster's own arguments, which are no wishes of nodes.
_ARGUMENTS = ("host_keys", "stop_on_exit")


class NoSsh(SshTransport):
    """Takes a node for reached if its instance runs; `deaf` ones never answer.

    Without an endpoint it does not ask whether the instance runs.
    """

    def __init__(self, key: Path, cloud: Endpoint | None = None) -> None:
        super().__init__(f"{key}.pub", str(key))
        self._cloud = cloud
        self.deaf: set[str] = set()

    async def probe(self, target: SshTarget, accept: Accept | None = None) -> Reached:
        if target.node in self.deaf or not self._runs(target.address):
            raise UnreachableError(f"no answer from {target.address}")
        return Reached(host_keys=target.host_keys)

    def _runs(self, address: str) -> bool:
        if self._cloud is None:
            return True
        return any(address in addresses for addresses in self._cloud.running().values())


def cluster_of(
    provider: AbstractCloudProvider,
    cloud: Endpoint,
    folder: Path,
    count: int = 3,
    *,
    name: str = "demo",
    repository: AbstractClusterRepository | None = None,
    transport: SshTransport | None = None,
    hosts: bool = False,
    key: Path | None = None,
    setup: AbstractSetupProvider | None = None,
    kinds: tuple[str, ...] = ("compute",),
    **wishes: Any,
) -> Cluster:
    """Return a cluster with so many nodes of each kind.

    `wishes` are `image_id`, `image_user`, `flavor`, `security_group`, options of the
    provider, and arguments of `Cluster` (`host_keys`). With `hosts` it uses real SSH.
    """
    key = key or new_key(folder)
    if transport is None and not hosts:
        transport = NoSsh(key, cloud)
    arguments = {name: wishes.pop(name) for name in _ARGUMENTS if name in wishes}
    cluster = Cluster(
        name,
        provider,
        setup or RecordingSetup(),
        KEY_NAME,
        f"{key}.pub",
        str(key),
        repository=MemRepository() if repository is None else repository,
        transport=transport,
        **arguments,
    )
    for kind in kinds:
        cluster.add_nodes(kind, count, **cloud.node() | wishes)
    return cluster


def new_key(folder: Path, algorithm: str = "ssh-ed25519", **options: Any) -> Path:
    """Write a key pair into a folder, once, and return its path."""
    path = folder / algorithm
    if not path.exists():
        pair = asyncssh.generate_private_key(algorithm, **options)
        path.touch(mode=0o600)
        pair.write_private_key(path)
        pair.write_public_key(f"{path}.pub")
    return path


async def recorded(*repositories: AbstractClusterRepository) -> set[str]:
    """Return the ids of all instances that records have."""
    found: set[str] = set()
    for repository in repositories:
        async with repository.opened():
            for record in await repository.load_all():
                found |= {node.instance_id for node in record.nodes.values()}
    return found


def alive(cloud: Endpoint) -> set[str]:
    """Return the ids of all instances that stay, and cost, unless they are ended."""
    return cloud.alive()


def made(cloud: Endpoint) -> dict[str, list[str]]:
    """Return what the first account has beside instances, by kind."""
    return cloud.made()


async def unrecorded(
    cloud: Endpoint, *repositories: AbstractClusterRepository
) -> set[str]:
    """Return the ids of instances that stay and that no record has."""
    return cloud.alive() - await recorded(*repositories)
