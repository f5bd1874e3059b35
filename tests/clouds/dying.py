"""What users' programs on any cloud have in common that may be struck.

Each cloud has a program of its own, which does one thing with a cluster. The points at
which it may be struck are those of `tests.crash.program`: `before launch 1`, say.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from aioelasticluster import Cluster, MemRepository
from aioelasticluster.providers.base import AbstractCloudProvider
from aioelasticluster.repositories.base import AbstractClusterRepository
from tests.clouds.endpoint import Endpoint
from tests.crash.program import BEGUN, DONE, Blows, Script, StruckRepository, say

T = TypeVar("T")
P = TypeVar("P", bound=AbstractCloudProvider)

#: For how long (seconds) silence about an instance means nothing in these programs.
SETTLE_WINDOW = 0.6

#: The calls of a provider at which a program may be struck.
STEPS = ("prepare", "launch", "describe", "terminate", "cleanup")


@dataclass(frozen=True, kw_only=True)
class CloudScript(Script):
    """What a program does, and on which server: what its endpoint is made of.

    `at_launch` is how the cloud behaves from the moment on when the program is about
    to launch.
    """

    endpoint: Mapping[str, Any] = field(default_factory=dict)
    at_launch: Mapping[str, Any] = field(default_factory=dict)


class Weather(Blows):
    """Strikes as the script says, and changes how the cloud behaves at a launch."""

    def __init__(self, script: CloudScript, cloud: Endpoint) -> None:
        super().__init__(script.strikes)
        self._at_launch = script.at_launch
        self._cloud = cloud

    @asynccontextmanager
    async def around(self, call: str) -> AsyncIterator[None]:
        """Pass the points before and after a call, after a change in the weather."""
        if call == "launch" and self._at_launch:
            await asyncio.to_thread(self._cloud.behave, **self._at_launch)
        async with super().around(call):
            yield


def struck(provider: P, blows: Blows, steps: Collection[str] = STEPS) -> P:
    """Return a provider, called by a program that may not survive the call."""
    for step in steps:
        setattr(provider, step, _struck(getattr(provider, step), step, blows))
    return provider


def _struck(
    call: Callable[..., Awaitable[T]], step: str, blows: Blows
) -> Callable[..., Awaitable[T]]:
    @wraps(call)
    async def struck(*arguments: Any, **named: Any) -> T:
        async with blows.around(step):
            return await call(*arguments, **named)

    return struck


async def act(
    script: Script,
    blows: Blows,
    provider: AbstractCloudProvider,
    planned: Callable[[AbstractClusterRepository], Cluster],
) -> None:
    """Do what a script says, once; `planned` gives a fresh handle on its cluster."""
    repository = (
        StruckRepository(Path(script.folder) / "clusters.db", blows)
        if script.recorded
        else MemRepository()
    )
    say(BEGUN)
    if script.verb == "start":
        cluster = planned(repository)
    else:
        cluster = await repository.get("demo", cloud_provider=provider)
    await getattr(cluster, script.verb)()
    say(DONE)
