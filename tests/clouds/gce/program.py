"""A user's program on Compute Engine: it does one thing, and may be struck.

Run as `python -m tests.clouds.gce.program SCRIPT`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from functools import partial
from pathlib import Path

from aioelasticluster import Cluster, GoogleCloudProvider
from aioelasticluster.repositories.base import AbstractClusterRepository
from tests.clouds.dying import SETTLE_WINDOW, CloudScript, Weather, act, struck
from tests.clouds.gce.clusters import cluster_on, provider_for
from tests.clouds.gce.running import GceEndpoint


def quick_provider(
    gce: GceEndpoint, folder: Path, settle_window: float = SETTLE_WINDOW
) -> GoogleCloudProvider:
    """Return a provider that does not wait long for what a crash has left."""
    provider = provider_for(gce, folder)
    provider.settle_window = settle_window
    return provider


def planned(
    gce: GceEndpoint,
    folder: Path,
    computes: int,
    provider: GoogleCloudProvider,
    repository: AbstractClusterRepository,
) -> Cluster:
    """Return a fresh handle on the cluster that all programs here are about."""
    return cluster_on(
        gce,
        folder,
        computes,
        provider=provider,
        repository=repository,
        hosts=True,
        key=folder / "id",
        ssh_from="127.0.0.0/8",
    )


async def main(script: CloudScript) -> None:
    """Do what the script says, once."""
    gce, folder = GceEndpoint(**script.endpoint), Path(script.folder)
    blows = Weather(script, gce)
    provider = struck(quick_provider(gce, folder), blows)
    plan = partial(planned, gce, folder, script.computes, provider)
    await act(script, blows, provider, plan)


if __name__ == "__main__":
    asyncio.run(main(CloudScript(**json.loads(sys.argv[1]))))
