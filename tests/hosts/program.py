"""A user's program on a container engine: it does one thing, and may be struck.

Run as `python -m tests.hosts.program SCRIPT`. Beside the points of
`tests.crash.program` there are `before start 1` and the like: between the request that
makes a container and the one that starts it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aioelasticluster import Cluster, ContainerCloudProvider
from aioelasticluster.providers.containers import launching
from aioelasticluster.providers.containers.calls import Calls
from aioelasticluster.repositories.base import AbstractClusterRepository
from tests.clouds.dying import act, struck
from tests.crash.program import Blows, Script
from tests.hosts.clusters import cluster_on, provider_for

#: For how long (seconds) silence about a container means nothing in these programs.
SETTLE_WINDOW = 2.0

#: What can be made for a cluster: all of it.
EVERYTHING = {"volumes": ["home:/home"]}


@dataclass(frozen=True, kw_only=True)
class ContainerScript(Script):
    """What a program does, and in which engine."""

    url: str


def quick_provider(url: str) -> ContainerCloudProvider:
    """Return a provider that does not wait long for what a crash has left."""
    provider = provider_for(url)
    provider.settle_window = SETTLE_WINDOW
    return provider


def planned(
    url: str,
    folder: Path,
    computes: int,
    repository: AbstractClusterRepository,
    provider: ContainerCloudProvider | None = None,
) -> Cluster:
    """Return a fresh handle on the cluster that all programs here are about."""
    return cluster_on(
        provider or quick_provider(url),
        folder,
        repository=repository,
        options=EVERYTHING,
        compute=computes,
    )


def strike_starts(blows: Blows) -> None:
    """Have the points before and after each start of a container."""
    start = launching.start

    async def struck_start(calls: Calls, id: str) -> None:
        async with blows.around("start"):
            await start(calls, id)

    launching.start = struck_start


async def main(script: ContainerScript) -> None:
    """Do what the script says, once."""
    blows = Blows(script.strikes)
    strike_starts(blows)
    provider = struck(quick_provider(script.url), blows)
    plan = partial(planned, script.url, Path(script.folder), script.computes)
    await act(script, blows, provider, partial(plan, provider=provider))


if __name__ == "__main__":
    asyncio.run(main(ContainerScript(**json.loads(sys.argv[1]))))
