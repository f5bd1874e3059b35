"""Clusters on the test server: quick to poll, with SSH or with a stand-in for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncssh
import pytest

from aioelasticluster import BotoCloudProvider, Cluster, MemRepository
from aioelasticluster.errors import UnreachableError
from aioelasticluster.repositories.base import AbstractClusterRepository
from aioelasticluster.setup.base import AbstractSetupProvider
from aioelasticluster.ssh.base import Accept, Reached, SshTarget
from aioelasticluster.ssh.transport import SshTransport
from tests.clouds.ec2.running import Ec2Endpoint
from tests.support import RecordingSetup

#: Under which name clusters look for the user's key pair.
KEY_NAME = "mine"

#: The states of instances that cost money.
ALIVE = ("pending", "running", "stopping", "stopped")


def quicken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll and repeat soon, with full buckets: other tests have used the account."""
    monkeypatch.setattr("aioelasticluster.providers.ec2.provider.POLL_INTERVAL", 0.05)
    monkeypatch.setattr("aioelasticluster.providers.ec2.limits._all", {})
    monkeypatch.setattr("aioelasticluster.providers.repeating.PAUSES", (0.05, 0.5))


class NoSsh(SshTransport):
    """Takes a node for reached if its instance runs; `deaf` ones never answer.

    Without an endpoint it does not ask whether the instance runs.
    """

    def __init__(self, key: Path, ec2: Ec2Endpoint | None = None) -> None:
        super().__init__(f"{key}.pub", str(key))
        self.ec2 = ec2
        self.deaf: set[str] = set()
        self.probes: list[SshTarget] = []

    async def probe(self, target: SshTarget, accept: Accept | None = None) -> Reached:
        self.probes.append(target)
        if target.node in self.deaf or not self._runs(target.address):
            raise UnreachableError(f"no answer from {target.address}")
        return Reached(host_keys=target.host_keys)

    def _runs(self, address: str) -> bool:
        if self.ec2 is None:
            return True
        running = self.ec2.instances("running")
        return any(
            address in (one["address"], one["public_address"]) for one in running
        )


def provider_for(
    ec2: Ec2Endpoint, *, other: bool = False, **options: Any
) -> BotoCloudProvider:
    """Return a provider of the first account, or the `other`, with short pauses."""
    keys = (
        (ec2.other_access_key, ec2.other_secret_key)
        if other
        else (ec2.access_key, ec2.secret_key)
    )
    given = dict(zip(("access_key", "secret_key"), keys, strict=True)) | options
    provider = BotoCloudProvider(ec2.url, given.pop("region", ec2.region), **given)
    provider.settle_window = 0.2
    provider.poll_pauses = provider.end_pauses = (0.05, 0.2)
    return provider


def cluster_on(
    ec2: Ec2Endpoint,
    folder: Path,
    count: int = 3,
    *,
    name: str = "demo",
    provider: BotoCloudProvider | None = None,
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
        transport = NoSsh(key, ec2)
    facts = {
        "image_id": ec2.image_id,
        "image_user": ec2.login,
        "flavor": ec2.flavor,
        "security_group": "default",
    }
    arguments = {n: wishes.pop(n) for n in ("host_keys", "stop_on_exit") if n in wishes}
    cluster = Cluster(
        name,
        provider or provider_for(ec2),
        setup or RecordingSetup(),
        KEY_NAME,
        f"{key}.pub",
        str(key),
        repository=MemRepository() if repository is None else repository,
        transport=transport,
        **arguments,
    )
    for kind in kinds:
        cluster.add_nodes(kind, count, **facts | wishes)
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


def alive(ec2: Ec2Endpoint) -> set[str]:
    """Return the ids of all instances on the server that cost money."""
    return {one["id"] for one in ec2.instances(*ALIVE)}


async def unrecorded(
    ec2: Ec2Endpoint, *repositories: AbstractClusterRepository
) -> set[str]:
    """Return the ids of instances that cost money and that no record has."""
    recorded: set[str] = set()
    for repository in repositories:
        async with repository.opened():
            for record in await repository.load_all():
                recorded |= {node.instance_id for node in record.nodes.values()}
    return alive(ec2) - recorded


def made(ec2: Ec2Endpoint, account: str = "") -> dict[str, list[str]]:
    """Return what an account has beside instances and what it had from the beginning.

    Kinds of which there is nothing are left out.
    """
    kinds = ("key_pairs", "groups", "addresses", "placement_groups")
    return {
        kind: one[kind]
        for one in ec2.resources()
        if (one["account"], one["region"]) == (account or ec2.account, ec2.region)
        for kind in kinds
        if one[kind]
    }
