"""Clusters on the test server: quick to poll, with SSH or with a stand-in for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aioelasticluster import Cluster, GoogleCloudProvider, MemRepository
from aioelasticluster.errors import UnreachableError
from aioelasticluster.repositories.base import AbstractClusterRepository
from aioelasticluster.setup.base import AbstractSetupProvider
from aioelasticluster.ssh.base import Accept, Reached, SshTarget
from aioelasticluster.ssh.transport import SshTransport
from tests.clouds.ec2.clusters import new_key
from tests.clouds.gce.running import GceEndpoint
from tests.support import RecordingSetup

#: The states of instances that are gone, or on their way.
_LEAVING = ("STOPPING", "GONE")

#: Cluster's own arguments, which are no wishes of nodes.
_ARGUMENTS = ("host_keys", "stop_on_exit")


def quicken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat requests soon."""
    monkeypatch.setattr("aioelasticluster.providers.repeating.PAUSES", (0.05, 0.5))


class NoSsh(SshTransport):
    """Takes a node for reached if its instance runs; `deaf` ones never answer.

    Without an endpoint it does not ask whether the instance runs.
    """

    def __init__(self, key: Path, gce: GceEndpoint | None = None) -> None:
        super().__init__(f"{key}.pub", str(key))
        self.gce = gce
        self.deaf: set[str] = set()

    async def probe(self, target: SshTarget, accept: Accept | None = None) -> Reached:
        if target.node in self.deaf or not self._runs(target.address):
            raise UnreachableError(f"no answer from {target.address}")
        return Reached(host_keys=target.host_keys)

    def _runs(self, address: str) -> bool:
        if self.gce is None:
            return True
        running = self.gce.instances("RUNNING")
        return any(
            address in (one["address"], one["public_address"]) for one in running
        )


def provider_for(
    gce: GceEndpoint, folder: Path, *, other: bool = False, **options: Any
) -> GoogleCloudProvider:
    """Return a provider of the first project, or the `other`, with short pauses.

    Its credentials are written into the folder.
    """
    files = gce.write_credentials(folder)
    given: dict[str, Any] = {
        "project_id": gce.other_project if other else gce.project,
        "zone": gce.zone,
        "credentials": str(files.other if other else files.first),
        "api_root": gce.api_root,
    }
    return quick(GoogleCloudProvider(**given | options))


def quick(provider: GoogleCloudProvider) -> GoogleCloudProvider:
    """Return a provider that does not wait long."""
    provider.settle_window = 0.2
    provider.poll_pauses = provider.end_pauses = (0.05, 0.2)
    return provider


def cluster_on(
    gce: GceEndpoint,
    folder: Path,
    count: int = 3,
    *,
    name: str = "demo",
    provider: GoogleCloudProvider | None = None,
    repository: AbstractClusterRepository | None = None,
    transport: SshTransport | None = None,
    hosts: bool = False,
    key: Path | None = None,
    setup: AbstractSetupProvider | None = None,
    kinds: tuple[str, ...] = ("compute",),
    **wishes: Any,
) -> Cluster:
    """Return a cluster with so many nodes of each kind.

    `wishes` are `image_id`, `image_user`, `flavor`, options of the provider, and
    arguments of `Cluster` (`host_keys`). With `hosts` it uses real SSH.
    """
    key = key or new_key(folder)
    if transport is None and not hosts:
        transport = NoSsh(key, gce)
    arguments = {name: wishes.pop(name) for name in _ARGUMENTS if name in wishes}
    cluster = Cluster(
        name,
        provider or provider_for(gce, folder),
        setup or RecordingSetup(),
        "mine",
        f"{key}.pub",
        str(key),
        repository=MemRepository() if repository is None else repository,
        transport=transport,
        **arguments,
    )
    for kind in kinds:
        cluster.add_nodes(kind, count, **node_of(gce) | wishes)
    return cluster


def node_of(gce: GceEndpoint) -> dict[str, Any]:
    """Return what every node has."""
    return {
        "image_id": gce.image_id,
        "image_user": gce.login,
        "flavor": gce.flavor,
        "security_group": "default",
    }


def id_of(instance: dict[str, Any]) -> str:
    """Return what our records call an instance of the server."""
    return f"{instance['zone']}/{instance['name']}"


def alive(gce: GceEndpoint) -> set[str]:
    """Return the ids of all instances on the server that stay unless they are ended."""
    found = gce.instances()
    return {id_of(one) for one in found if one["state"] not in _LEAVING}


async def unrecorded(
    gce: GceEndpoint, *repositories: AbstractClusterRepository
) -> set[str]:
    """Return the ids of instances that stay and that no record has."""
    recorded: set[str] = set()
    for repository in repositories:
        async with repository.opened():
            for record in await repository.load_all():
                recorded |= {node.instance_id for node in record.nodes.values()}
    return alive(gce) - recorded


def made(gce: GceEndpoint) -> dict[str, list[str]]:
    """Return the disks and firewall rules of the first project, if there are any."""
    (mine,) = (one for one in gce.resources() if one["project"] == gce.project)
    return {kind: mine[kind] for kind in ("disks", "firewalls") if mine[kind]}
