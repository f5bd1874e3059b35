"""A program that leads a cluster's whole life on EC2, and feels its loop's pulse.

Run as `python -m tests.clouds.ec2.heartbeat COUNT FOLDER ENDPOINT` (JSON), with a key
pair in the folder. It imports no more than a user's program would: the less there is,
the shorter a full garbage collection. It prints, for each phase, how long (in ms) the
loop was held between two beats at most: of the loop's thread's own processor time, for
the machine is shared. A blocking call of the library on the loop is an error.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from blockbuster import blockbuster_ctx

from aioelasticluster import BotoCloudProvider, Cluster, SqliteRepository
from tests.clouds.ec2.running import Ec2Endpoint
from tests.support import RecordingSetup

#: Pause (seconds) between two beats.
PAUSE = 0.005


class Pulse:
    """Beats on the running loop, and remembers the longest times (s) between two beats.

    `held` is with full garbage collections, which take what the whole program's heap
    takes; `working` is without them.
    """

    def __init__(self) -> None:
        self.held = self.working = 0.0
        self._collecting = self._collected = 0.0

    @asynccontextmanager
    async def felt(self) -> AsyncIterator[None]:
        """Beat for the block."""
        gc.callbacks.append(self._watch)
        beating = asyncio.create_task(self._beat())
        await asyncio.sleep(0)
        try:
            yield
            await asyncio.sleep(2 * PAUSE)
        finally:
            beating.cancel()
            gc.callbacks.remove(self._watch)

    async def _beat(self) -> None:
        while True:
            begun, self._collected = time.thread_time(), 0.0
            await asyncio.sleep(PAUSE)
            held = time.thread_time() - begun
            self.held = max(self.held, held)
            self.working = max(self.working, held - self._collected)

    def _watch(self, phase: str, facts: dict[str, int]) -> None:
        """Hear of garbage collections; those in other threads are not ours."""
        if threading.current_thread() is not threading.main_thread():
            return
        if phase == "start":
            self._collecting = time.thread_time()
        else:
            self._collected += time.thread_time() - self._collecting


Pulses = dict[str, dict[str, float]]


async def live(count: int, folder: Path, ec2: Ec2Endpoint) -> Pulses:
    """Lead a whole life; return the longest times (ms) of each phase."""
    provider = BotoCloudProvider(ec2.url, ec2.region, ec2.access_key, ec2.secret_key)
    provider.settle_window = 0.5
    provider.poll_pauses = provider.end_pauses = (0.1, 0.2)
    repository = SqliteRepository(folder / "clusters.sqlite")
    cluster = Cluster(
        "demo",
        provider,
        RecordingSetup(),
        "key",
        str(folder / "key.pub"),
        str(folder / "key"),
        repository=repository,
    )
    node = (ec2.image_id, ec2.login, ec2.flavor, "default")
    cluster.add_nodes("compute", count, *node)
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
    await phase("resize", cluster.resize("compute", count + 10))
    await phase("remove", cluster.remove_node("compute001"))
    await phase("pause", cluster.pause())
    await phase("resume", cluster.resume())
    await phase("refresh", cluster.refresh())
    await phase("get", repository.get("demo", cloud_provider=provider))
    await phase("stop", cluster.stop())
    return pulses


if __name__ == "__main__":
    from aioelasticluster.providers.ec2 import provider as ec2_provider
    from aioelasticluster.providers.ec2.loading import warm_up

    warm_up()  # in a thread of ours it has a loop of its own, on which it may block
    ec2_provider.POLL_INTERVAL = 0.1
    with blockbuster_ctx("aioelasticluster"):
        place = Ec2Endpoint(**json.loads(sys.argv[3]))
        found = asyncio.run(live(int(sys.argv[1]), Path(sys.argv[2]), place))
    print(json.dumps(found), flush=True)  # noqa: T201  it is what the test reads
    os._exit(0)  # blockbuster's patches make Python 3.11.2 (Debian 12) crash at its end
