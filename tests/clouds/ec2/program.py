"""A user's program on EC2: it does one thing with a cluster, and may be struck.

Run as `python -m tests.clouds.ec2.program SCRIPT`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from functools import partial
from pathlib import Path

from aioelasticluster import BotoCloudProvider, Cluster
from aioelasticluster.repositories.base import AbstractClusterRepository
from tests.clouds.dying import SETTLE_WINDOW, CloudScript, Weather, act, struck
from tests.clouds.ec2.clusters import cluster_on, provider_for
from tests.clouds.ec2.running import Ec2Endpoint


def quick_provider(
    ec2: Ec2Endpoint, settle_window: float = SETTLE_WINDOW
) -> BotoCloudProvider:
    """Return a provider that does not wait long for what a crash has left."""
    provider = provider_for(ec2)
    provider.settle_window = settle_window
    return provider


def planned(
    ec2: Ec2Endpoint,
    folder: Path,
    computes: int,
    provider: BotoCloudProvider,
    repository: AbstractClusterRepository,
) -> Cluster:
    """Return a fresh handle on the cluster that all programs here are about."""
    return cluster_on(
        ec2,
        folder,
        computes,
        provider=provider,
        repository=repository,
        hosts=True,
        key=folder / "id",
    )


async def main(script: CloudScript) -> None:
    """Do what the script says, once."""
    ec2 = Ec2Endpoint(**script.endpoint)
    blows = Weather(script, ec2)
    provider = struck(quick_provider(ec2), blows)
    plan = partial(planned, ec2, Path(script.folder), script.computes, provider)
    await act(script, blows, provider, plan)


if __name__ == "__main__":
    asyncio.run(main(CloudScript(**json.loads(sys.argv[1]))))
