"""A user's program on Compute Engine: it does one thing, and may be struck.

Run as `python -m tests.clouds.gce.program SCRIPT`. The points are those of
`tests.crash.program`: `before launch 1`, `after transaction 2`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from aioelasticluster import Cluster, GoogleCloudProvider, MemRepository
from aioelasticluster.repositories.base import AbstractClusterRepository
from tests.clouds.gce.clusters import cluster_on, provider_for
from tests.clouds.gce.running import GceEndpoint
from tests.crash.program import BEGUN, DONE, Blows, Script, StruckRepository, say

T = TypeVar("T")

#: For how long (seconds) silence about an instance means nothing in these programs.
SETTLE_WINDOW = 1.0

#: The calls of a provider at which a program may be struck.
STEPS = ("prepare", "launch", "describe", "terminate", "cleanup")


@dataclass(frozen=True, kw_only=True)
class GceScript(Script):
    """What a program does, and on which server.

    `at_launch` is how the cloud behaves from the moment on when the program is about
    to launch.
    """

    gce: Mapping[str, Any] = field(default_factory=dict)
    at_launch: Mapping[str, Any] = field(default_factory=dict)

    @property
    def endpoint(self) -> GceEndpoint:
        return GceEndpoint(**self.gce)


class Weather(Blows):
    """Strikes as the script says, and changes how the cloud behaves at a launch."""

    def __init__(self, script: GceScript) -> None:
        super().__init__(script.strikes)
        self._script = script

    @asynccontextmanager
    async def around(self, call: str) -> AsyncIterator[None]:
        """Pass the points before and after a call, after a change in the weather."""
        if call == "launch" and self._script.at_launch:
            gce = self._script.endpoint
            await asyncio.to_thread(gce.behave, **self._script.at_launch)
        async with super().around(call):
            yield


def struck_provider(
    gce: GceEndpoint, folder: Path, blows: Blows
) -> GoogleCloudProvider:
    """Return a provider, called by a program that may not survive the call."""
    provider = quick_provider(gce, folder)
    for step in STEPS:
        setattr(provider, step, _struck(getattr(provider, step), step, blows))
    return provider


def quick_provider(
    gce: GceEndpoint, folder: Path, settle_window: float = SETTLE_WINDOW
) -> GoogleCloudProvider:
    """Return a provider that does not wait long for what a crash has left."""
    provider = provider_for(gce, folder)
    provider.settle_window = settle_window
    return provider


def _struck(
    call: Callable[..., Awaitable[T]], step: str, blows: Blows
) -> Callable[..., Awaitable[T]]:
    @wraps(call)
    async def struck(*arguments: Any, **named: Any) -> T:
        async with blows.around(step):
            return await call(*arguments, **named)

    return struck


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


async def main(script: GceScript) -> None:
    """Do what the script says, once."""
    folder, blows, gce = Path(script.folder), Weather(script), script.endpoint
    provider = struck_provider(gce, folder, blows)
    repository = (
        StruckRepository(folder / "clusters.db", blows)
        if script.recorded
        else MemRepository()
    )
    say(BEGUN)
    if script.verb == "start":
        cluster = planned(gce, folder, script.computes, provider, repository)
    else:
        cluster = await repository.get("demo", cloud_provider=provider)
    await getattr(cluster, script.verb)()
    say(DONE)


if __name__ == "__main__":
    asyncio.run(main(GceScript(**json.loads(sys.argv[1]))))
