"""A program that leads a cluster's whole life on OpenStack, and feels its loop's pulse.

Run as `python -m tests.clouds.openstack.heartbeat COUNT FOLDER ACCESS` (a provider's
arguments in JSON), with a key pair in the folder. It prints, for each phase, how long
(in ms) the loop was held between two beats at most: of the loop's thread's own
processor time, for the machine is shared. A blocking call of the library on the loop
is an error.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from blockbuster import blockbuster_ctx

from aioelasticluster import OpenStackCloudProvider, SqliteRepository
from tests.clouds.ec2.heartbeat import Pulse, Pulses
from tests.clouds.openstack.clusters import cluster_on, quick


async def live(count: int, folder: Path, access: Mapping[str, Any]) -> Pulses:
    """Lead a whole life; return the longest times (ms) of each phase."""
    provider = quick(OpenStackCloudProvider(**access))
    repository = SqliteRepository(folder / "clusters.sqlite")
    cluster = cluster_on(
        provider,
        folder,
        count,
        repository=repository,
        hosts=True,
        security_group="web",
        ssh_from="127.0.0.0/8",
        request_floating_ip=True,
    )
    pulses: Pulses = {}

    async def phase(name: str, work: Coroutine[Any, Any, object]) -> None:
        pulse = Pulse()
        async with pulse.felt():
            await work
        pulses[name] = {
            "held": round(pulse.held * 1000, 1),
            "working": round(pulse.working * 1000, 1),
        }

    await phase("start", cluster.start())
    await phase("run", cluster.run("true"))
    await phase("setup", cluster.setup())
    await phase("resize", cluster.resize("compute", count + 1))
    await phase("remove", cluster.remove_node("compute001"))
    await phase("pause", cluster.pause())
    await phase("resume", cluster.resume())
    await phase("refresh", cluster.refresh())
    await phase("get", repository.get("demo", cloud_provider=provider))
    await phase("stop", cluster.stop())
    return pulses


if __name__ == "__main__":
    with blockbuster_ctx("aioelasticluster"):
        found = asyncio.run(
            live(int(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
        )
    print(json.dumps(found), flush=True)  # noqa: T201  it is what the test reads
    os._exit(0)  # blockbuster's patches make Python 3.11.2 (Debian 12) crash at its end
