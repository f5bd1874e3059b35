"""Starts and stops in bounded time; what they say is held against the cloud."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from aioelasticluster import Cluster
from aioelasticluster.errors import StartError
from aioelasticluster.model.reports import StartReport
from tests.clouds.clusters import unrecorded
from tests.clouds.endpoint import Endpoint

#: How long (seconds) a start, or a stop, may take however much goes wrong.
BOUND = 30.0


async def started(cloud: Endpoint, cluster: Cluster, **how: Any) -> StartReport:
    """Start a cluster in bounded time; what is reported is what there is."""
    with anyio.fail_after(BOUND):
        report = await cluster.start(timeout=BOUND, **how)
    running = set(cloud.running())
    nodes = {node.name: node.instance_id for node in cluster.get_all_nodes()}
    assert {nodes[name] for name in report.alive} == running
    assert len(report.alive) == len(running)
    assert not await unrecorded(cloud, cluster.repository)
    return report


async def refused(cloud: Endpoint, cluster: Cluster, **how: Any) -> StartError:
    """Start a cluster in vain, in bounded time; nothing stays."""
    with anyio.fail_after(BOUND):
        with pytest.raises(StartError) as caught:
            await cluster.start(timeout=BOUND, **how)
    await nothing_left(cloud, cluster)
    return caught.value


async def ended(cloud: Endpoint, cluster: Cluster) -> None:
    """Stop a cluster in bounded time; nothing stays."""
    with anyio.fail_after(BOUND):
        await cluster.stop()
    await nothing_left(cloud, cluster)


async def nothing_left(cloud: Endpoint, cluster: Cluster) -> None:
    """Assert that neither the cloud nor the records have anything."""
    assert not cloud.alive()
    assert not cloud.made()
    assert not await cluster.repository.load_all()
