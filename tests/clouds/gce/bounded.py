"""Starts and stops in bounded time; what they say is held against the cloud."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from aioelasticluster import Cluster
from aioelasticluster.errors import StartError
from aioelasticluster.model.reports import StartReport
from tests.clouds.gce.clusters import alive, id_of, made, unrecorded
from tests.clouds.gce.running import GceEndpoint

#: How long (seconds) a start, or a stop, may take however much goes wrong.
BOUND = 30.0

#: What makes instances.
BULK = "instances.bulkInsert"


async def started(gce: GceEndpoint, cluster: Cluster, **how: Any) -> StartReport:
    """Start a cluster in bounded time; what is reported is what there is."""
    with anyio.fail_after(BOUND):
        report = await cluster.start(timeout=BOUND, **how)
    running = {id_of(one) for one in gce.instances("RUNNING")}
    nodes = {node.name: node.instance_id for node in cluster.get_all_nodes()}
    assert {nodes[name] for name in report.alive} == running
    assert len(report.alive) == len(running)
    assert not await unrecorded(gce, cluster.repository)
    return report


async def refused(gce: GceEndpoint, cluster: Cluster, **how: Any) -> StartError:
    """Start a cluster in vain, in bounded time; nothing stays."""
    with anyio.fail_after(BOUND):
        with pytest.raises(StartError) as caught:
            await cluster.start(timeout=BOUND, **how)
    await nothing_left(gce, cluster)
    return caught.value


async def ended(gce: GceEndpoint, cluster: Cluster) -> None:
    """Stop a cluster in bounded time; nothing stays."""
    with anyio.fail_after(BOUND):
        await cluster.stop()
    await nothing_left(gce, cluster)


async def nothing_left(gce: GceEndpoint, cluster: Cluster) -> None:
    """Assert that neither the cloud nor the records have anything."""
    assert not alive(gce)
    assert not made(gce)
    assert not await cluster.repository.load_all()
