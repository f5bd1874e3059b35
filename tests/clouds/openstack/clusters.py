"""Clusters on the test cloud: quick to poll, with SSH or with a stand-in for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from aioelasticluster import Cluster, MemRepository, OpenStackCloudProvider
from aioelasticluster.repositories.base import AbstractClusterRepository
from aioelasticluster.setup.base import AbstractSetupProvider
from tests.clouds.clusters import KEY_NAME, NoSsh, new_key
from tests.clouds.openstack.rig import OpenStackRig
from tests.support import RecordingSetup

#: What floating addresses have instead of a name.
_ADDRESS = "floating_ip_address"

#: What nodes are made of where nothing else is said.
NODE = {
    "image_id": OpenStackRig.image,
    "image_user": OpenStackRig.login,
    "flavor": OpenStackRig.flavor,
    "security_group": "default",
}


def quicken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat requests soon."""
    monkeypatch.setattr("aioelasticluster.providers.repeating.PAUSES", (0.05, 0.5))


def provider_for(
    rig: OpenStackRig, user: str = "demo", **options: Any
) -> OpenStackCloudProvider:
    """Return a provider for one of the users, with short pauses."""
    return quick(OpenStackCloudProvider(**access(rig, user), **options))


def access(rig: OpenStackRig, user: str = "demo") -> Mapping[str, Any]:
    """Return the arguments of a provider that make it a user's."""
    credentials = rig.credentials(user)
    return {**credentials["auth"], "region_name": credentials["region_name"]}


def quick(provider: OpenStackCloudProvider) -> OpenStackCloudProvider:
    """Shorten a provider's pauses, where they are not what is tested."""
    provider.settle_window = 0.5
    provider.poll_pauses = provider.end_pauses = (0.2, 0.5)
    return provider


def cluster_on(
    provider: OpenStackCloudProvider,
    folder: Path,
    count: int = 2,
    *,
    name: str = "demo",
    repository: AbstractClusterRepository | None = None,
    hosts: bool = False,
    key: Path | None = None,
    setup: AbstractSetupProvider | None = None,
    **wishes: Any,
) -> Cluster:
    """Return a cluster with so many compute nodes.

    `wishes` are `image_id`, `image_user`, `flavor`, `security_group`, options of the
    provider, and the cluster's `host_keys`. With `hosts` it uses real SSH.
    """
    key = key or new_key(folder)
    arguments = {n: wishes.pop(n) for n in ("host_keys",) if n in wishes}
    cluster = Cluster(
        name,
        provider,
        setup or RecordingSetup(),
        KEY_NAME,
        f"{key}.pub",
        str(key),
        repository=MemRepository() if repository is None else repository,
        transport=None if hosts else NoSsh(key),
        **arguments,
    )
    cluster.add_nodes("compute", count, **NODE | wishes)
    return cluster


def alive(rig: OpenStackRig) -> set[str]:
    """Return the ids of all servers that are not deleted, in whatever state."""
    return {one["id"] for one in rig.servers() if not one["deleted"]}


async def unrecorded(
    rig: OpenStackRig, *repositories: AbstractClusterRepository
) -> set[str]:
    """Return the ids of servers that are there and that no record has."""
    recorded: set[str] = set()
    for repository in repositories:
        async with repository.opened():
            for record in await repository.load_all():
                recorded |= {node.instance_id for node in record.nodes.values()}
    return alive(rig) - recorded


def made(rig: OpenStackRig, project: str = "demo") -> dict[str, list[str]]:
    """Return the names of what a project has beside servers, by kind.

    Kinds of which there is nothing are left out.
    """
    return {
        kind: sorted(str(one.get("name") or one.get(_ADDRESS)) for one in found)
        for kind, found in rig.resources().get(project, {}).items()
        if found
    }
