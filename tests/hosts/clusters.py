"""Clusters of real hosts: with systemd, OpenSSH and root inside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import asyncssh

from aioelasticluster import Cluster, ContainerCloudProvider, MemRepository
from aioelasticluster.providers.base import AbstractCloudProvider
from aioelasticluster.repositories.base import AbstractClusterRepository
from aioelasticluster.setup.base import AbstractSetupProvider
from tests.hosts.images import TAG
from tests.support import RecordingSetup

#: What nodes are made of where nothing else is said; here only the login matters.
NODE = {
    "image_id": "image",
    "image_user": "debian",
    "flavor": "small",
    "security_group": "default",
}


def provider_for(url: str, **options: Any) -> ContainerCloudProvider:
    """Return a provider for an engine, with short pauses."""
    image = options.pop("image", TAG)
    provider = ContainerCloudProvider(image, docker_host=url, **options)
    provider.settle_window = 0.5
    provider.poll_pauses = provider.end_pauses = (0.1, 0.3)
    return provider


def new_key(folder: Path) -> Path:
    """Write an SSH key pair into a folder, once; return the private one's path."""
    path = folder / "id_ed25519"
    if not path.exists():
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(path)
        key.write_public_key(f"{path}.pub")
        path.chmod(0o600)
    return path


def cluster_on(
    provider: AbstractCloudProvider,
    folder: Path,
    setup: AbstractSetupProvider | None = None,
    *,
    name: str = "demo",
    repository: AbstractClusterRepository | None = None,
    options: Mapping[str, Any] | None = None,
    host_keys: Literal["injected", "cloud"] = "injected",
    **kinds: int,
) -> Cluster:
    """Return a planned cluster with so many nodes of each kind.

    `options` are those of all its nodes.
    """
    key = new_key(folder)
    cluster = Cluster(
        name,
        provider,
        setup or RecordingSetup(),
        "tests",
        f"{key}.pub",
        str(key),
        repository=repository if repository is not None else MemRepository(),
        host_keys=host_keys,
    )
    for kind, count in kinds.items():
        cluster.add_nodes(kind, count, **{**NODE, **(options or {})})
    return cluster
