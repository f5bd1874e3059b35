"""A user's program: it does one thing with a cluster, and may be struck while it does.

Run as `python -m tests.crash.program SCRIPT`. It sets up no handler and cleans up
nothing by itself. `Script` says what it does, and at which points a signal hits it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aioelasticluster import (
    AbstractClusterRepository,
    Cluster,
    LocalCloudProvider,
    MemRepository,
    SqliteRepository,
)
from aioelasticluster.model.records import Change
from aioelasticluster.providers.base import (
    AbstractCloudProvider,
    Instance,
    Launched,
    LaunchOrder,
    Preparation,
)
from aioelasticluster.providers.faults import FaultPlan
from aioelasticluster.repositories.base import Lease
from aioelasticluster.ssh.base import AbstractTransport, Accept, Reached, SshTarget
from aioelasticluster.ssh.transport import SshTransport
from tests.support import RecordingSetup

#: What the program says when everything is imported and the work begins …
BEGUN = "begun"

#: … and when it is done.
DONE = "done"

#: Instead of a signal: wait at that point for ever.
HOLD = "hold"


@dataclass(frozen=True, kw_only=True)
class Script:
    """What a program does, in which folder, and what happens to it.

    `computes` is how many compute nodes there are to be, beside the frontend. With
    `recorded`, the repository is a file, else the program's memory. `strikes` maps
    points (`before launch 1`, `after accept 2`) to signals (`SIGKILL`, or
    `SIGKILL+0.05` for so many seconds later) or to `HOLD`.
    """

    folder: str
    verb: str
    computes: int
    recorded: bool = True
    strikes: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, Any] = field(default_factory=dict)

    def encoded(self) -> str:
        """Return it as the program's argument."""
        return json.dumps(asdict(self))


class Blows:
    """Counts calls, and strikes this process at the points of a script."""

    def __init__(self, strikes: Mapping[str, str]) -> None:
        self._strikes = strikes
        self._calls: Counter[str] = Counter()

    @asynccontextmanager
    async def around(self, call: str) -> AsyncIterator[None]:
        """Pass the points before and after a call; one that failed has no after."""
        self._calls[call] += 1
        number = self._calls[call]
        await self._pass(f"before {call} {number}")
        yield
        await self._pass(f"after {call} {number}")

    async def _pass(self, point: str) -> None:
        strike = self._strikes.get(point)
        if strike is None:
            return
        say(point)
        if strike == HOLD:
            await asyncio.Event().wait()
        name, _, later = strike.partition("+")
        if later:
            loop = asyncio.get_running_loop()
            loop.call_later(float(later), signal.raise_signal, signal.Signals[name])
        else:
            os.kill(os.getpid(), signal.Signals[name])


class StruckProvider(LocalCloudProvider):
    """The local cloud, called by a program that may not survive the call."""

    def __init__(self, state: Path, blows: Blows, faults: FaultPlan) -> None:
        super().__init__(state, faults=faults)
        self._blows = blows

    async def prepare(self, preparation: Preparation) -> Mapping[str, str]:
        async with self._blows.around("prepare"):
            return await super().prepare(preparation)

    async def launch(self, order: LaunchOrder) -> Launched:
        async with self._blows.around("launch"):
            return await super().launch(order)

    async def describe(
        self, cluster_id: str, awaited: Collection[str]
    ) -> Sequence[Instance]:
        async with self._blows.around("describe"):
            return await super().describe(cluster_id, awaited)

    async def terminate(self, ids: Sequence[str]) -> None:
        async with self._blows.around("terminate"):
            await super().terminate(ids)

    async def pause(self, ids: Sequence[str]) -> None:
        async with self._blows.around("pause"):
            await super().pause(ids)

    async def resume(self, ids: Sequence[str]) -> None:
        async with self._blows.around("resume"):
            await super().resume(ids)

    async def cleanup(self, cluster_id: str) -> None:
        async with self._blows.around("cleanup"):
            await super().cleanup(cluster_id)


class StruckRepository(SqliteRepository):
    """A SQLite file, written by a program that may not survive the write."""

    def __init__(self, path: Path, blows: Blows) -> None:
        super().__init__(path)
        self._blows = blows

    async def acquire(self, name: str, *, ttl: float) -> Lease:
        async with self._blows.around("acquire"):
            return await super().acquire(name, ttl=ttl)

    async def transaction(self, lease: Lease, change: Change) -> None:
        async with self._blows.around("transaction"):
            await super().transaction(lease, change)

    async def forget(self, lease: Lease) -> None:
        async with self._blows.around("forget"):
            await super().forget(lease)

    async def release(self, lease: Lease) -> None:
        async with self._blows.around("release"):
            await super().release(lease)


class StruckTransport(SshTransport):
    """SSH, by a program that may not survive a probe or the rotation within it."""

    def __init__(self, key: Path, blows: Blows) -> None:
        super().__init__(key.with_suffix(".pub"), key)
        self._blows = blows

    async def probe(self, target: SshTarget, accept: Accept | None = None) -> Reached:
        async def struck(keys: tuple[str, ...]) -> None:
            assert accept is not None
            async with self._blows.around("accept"):
                await accept(keys)

        async with self._blows.around("probe"):
            return await super().probe(target, accept and struck)


def planned(
    folder: Path,
    computes: int,
    provider: AbstractCloudProvider,
    repository: AbstractClusterRepository,
    transport: AbstractTransport | None = None,
) -> Cluster:
    """Return a fresh handle on the cluster that all programs here are about."""
    cluster = Cluster(
        "demo",
        provider,
        RecordingSetup(),
        "key",
        str(folder / "id.pub"),
        str(folder / "id"),
        repository=repository,
        transport=transport,
    )
    cluster.add_node("frontend", "image", "debian", "small", "default")
    cluster.add_nodes("compute", computes, "image", "debian", "big", "default")
    return cluster


async def main(script: Script) -> None:
    """Do what the script says, once."""
    folder, blows = Path(script.folder), Blows(script.strikes)
    provider = StruckProvider(folder / "state", blows, FaultPlan(**script.faults))
    repository = (
        StruckRepository(folder / "clusters.db", blows)
        if script.recorded
        else MemRepository()
    )
    transport = StruckTransport(folder / "id", blows)
    say(BEGUN)
    if script.verb == "start":
        cluster = planned(folder, script.computes, provider, repository, transport)
    else:
        cluster = await repository.get(
            "demo", cloud_provider=provider, transport=transport
        )
    if script.verb == "resize":
        await cluster.resize("compute", script.computes)
    else:
        await getattr(cluster, script.verb)()
    say(DONE)


def say(line: str) -> None:
    """Tell the test where we are."""
    print(line, flush=True)  # noqa: T201  it is how the test hears of it


if __name__ == "__main__":
    # As on a terminal, also where the tests run in the background of a shell.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    asyncio.run(main(Script(**json.loads(sys.argv[1]))))
