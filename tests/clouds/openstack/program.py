"""A user's program on OpenStack: it does one thing with a cluster, and may be struck.

Run as `python -m tests.clouds.openstack.program SCRIPT`. The points are those of
`tests.crash.program`: `before launch 1`, `after transaction 2`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aioelasticluster import Cluster, OpenStackCloudProvider
from aioelasticluster.repositories.base import AbstractClusterRepository
from tests.clouds.dying import STEPS, struck
from tests.clouds.openstack.clusters import cluster_on, quick
from tests.crash.program import BEGUN, DONE, Blows, Script, StruckRepository, say

#: For how long (seconds) silence about a server means nothing in these programs.
SETTLE_WINDOW = 3.0

#: What can be made for a cluster: all of it.
EVERYTHING = {
    "security_group": "web",
    "ssh_from": ["127.0.0.0/8"],
    "request_floating_ip": True,
}


@dataclass(frozen=True, kw_only=True)
class OpenStackScript(Script):
    """What a program does, as whom (a provider's arguments), and with which wishes."""

    access: Mapping[str, Any] = field(default_factory=dict)
    wishes: Mapping[str, Any] = field(default_factory=dict)


def quick_provider(access: Mapping[str, Any]) -> OpenStackCloudProvider:
    """Return a provider that does not wait long for what a crash has left."""
    provider = quick(OpenStackCloudProvider(**access))
    provider.settle_window = SETTLE_WINDOW
    return provider


def struck_provider(access: Mapping[str, Any], blows: Blows) -> OpenStackCloudProvider:
    """Return a provider, called by a program that may not survive the call."""
    return struck(quick_provider(access), blows, (*STEPS, "finish"))


def planned(
    folder: Path,
    computes: int,
    provider: OpenStackCloudProvider,
    repository: AbstractClusterRepository,
    wishes: Mapping[str, Any],
) -> Cluster:
    """Return a fresh handle on the cluster that all programs here are about."""
    return cluster_on(
        provider,
        folder,
        computes,
        repository=repository,
        hosts=True,
        key=folder / "id",
        **wishes,
    )


async def main(script: OpenStackScript) -> None:
    """Do what the script says, once."""
    folder, blows = Path(script.folder), Blows(script.strikes)
    provider = struck_provider(script.access, blows)
    repository = StruckRepository(folder / "clusters.db", blows)
    say(BEGUN)
    if script.verb == "start":
        cluster = planned(folder, script.computes, provider, repository, script.wishes)
    else:
        cluster = await repository.get("demo", cloud_provider=provider)
    await getattr(cluster, script.verb)()
    say(DONE)


if __name__ == "__main__":
    asyncio.run(main(OpenStackScript(**json.loads(sys.argv[1]))))
