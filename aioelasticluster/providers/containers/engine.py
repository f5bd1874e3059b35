"""What is asked of an engine, container by container. Imports aiodocker."""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Coroutine,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import anyio

from aioelasticluster._aio.finish import all_hidden
from aioelasticluster._aio.tasks import accompanied, each
from aioelasticluster.errors import (
    CapacityError,
    InvalidRequestError,
    ProviderError,
    UnknownOutcomeError,
)
from aioelasticluster.providers.base import (
    InstanceState,
    Launched,
    LaunchOrder,
    Preparation,
)
from aioelasticluster.providers.containers.calls import Calls, NotThereError, calling
from aioelasticluster.providers.containers.host_keys import host_keys_of
from aioelasticluster.providers.containers.launching import STOP_SIGNAL, Maker
from aioelasticluster.providers.containers.listing import Container, listed
from aioelasticluster.providers.containers.naming import renamed, token_label
from aioelasticluster.providers.containers.resources import Preparing, remove_made

#: Containers that are made, ended or asked about at a time.
WIDTH = 8

#: For how long (seconds) a systemd that was told to halt may seem not to have heard it.
DEAF = 2.0


@asynccontextmanager
async def using_engine(docker_host: str | None) -> AsyncIterator[Engine]:
    """Find the engine and hold a connection for the block; raises `ProviderError`."""
    async with calling(docker_host) as calls:
        yield Engine(calls)


class Engine:
    """One engine; foreign errors stop here."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._limiter = anyio.CapacityLimiter(WIDTH)

    async def identity(self) -> str:
        """Return Docker's own id, or Podman's machine and folder."""
        about = await self._calls.get("info")
        version = await self._calls.get("version")
        parts = version.get("Components") or ()
        if any("Podman" in str(part.get("Name")) for part in parts):
            return f"podman:{about['Name']}:{about['DockerRootDir']}"
        return f"docker:{about['ID']}"

    async def prepare(
        self, preparation: Preparation, image: str, network: str
    ) -> Mapping[str, str]:
        """Find image, network and volumes; make the network and volumes it lacks."""
        return await Preparing(self._calls, preparation, image, network)()

    async def cleanup(self, cluster_id: str) -> None:
        """Remove what was made for a cluster."""
        await remove_made(self._calls, cluster_id)

    async def launch(self, order: LaunchOrder, image: str) -> Launched:
        """Make and start a container for each name of an order."""
        maker = Maker(self._calls, order, image)
        refused: list[ProviderError] = []

        async def one(index: int) -> None:
            try:
                async with self._limiter:
                    await maker.launch(index)
            except ProviderError as error:
                refused.append(error)

        await all_hidden(map(one, range(len(order.names))))
        try:
            made = await listed(self._calls, token_label(order.token))
        except ProviderError as error:
            raise UnknownOutcomeError(str(error)) from error
        lost = next(filter(_unknown, refused), None)
        if lost is not None and len(made) < len(order.names):
            raise UnknownOutcomeError(str(lost)) from lost
        if refused and not made:
            raise refused[0]
        return Launched(instances=tuple(made), refused=refused[0] if refused else None)

    async def listed(self, *labels: str) -> Sequence[Container]:
        """Return our containers with all of these labels."""
        return await listed(self._calls, *labels)

    async def terminate(self, ids: Sequence[str]) -> None:
        """Kill and remove containers, with their anonymous volumes.

        Raises the first error when all have been tried.
        """
        faults: list[ProviderError] = []

        async def end(id: str) -> None:
            try:
                await self._terminate(id)
            except ProviderError as error:
                faults.append(error)

        await self._each(ids, end)
        if faults:
            raise faults[0]

    async def stop(self, ids: Sequence[str]) -> None:
        """Have systemd stop containers, as long as it may take there."""
        await self._each(ids, self._halt)

    async def start(self, ids: Sequence[str]) -> None:
        """Start containers."""
        await self._each(ids, partial(self._act, "POST", "/start", {}))

    async def begun(
        self, found: Sequence[Container], awaited: Collection[str]
    ) -> Sequence[Container]:
        """Start those that are awaited, but unstarted; return all as they are then."""
        refused: dict[str, ProviderError] = {}

        async def begin(id: str) -> None:
            try:
                await self._act("POST", "/start", {}, id)
            except (CapacityError, InvalidRequestError) as error:
                refused[id] = error

        await self._each(
            [i.id for i in found if i.unstarted and i.id in awaited], begin
        )
        return [
            replace(one, state=InstanceState.FAILED, fault=refused[one.id])
            if one.id in refused
            else one
            for one in found
        ]

    async def host_keys(self, ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return the host keys on containers' disks, of those that have some."""
        shown: dict[str, Sequence[str]] = {}

        async def read(id: str) -> None:
            if keys := await host_keys_of(self._calls, id):
                shown[id] = keys

        await self._each(ids, read)
        return shown

    async def retag(self, ids: Sequence[str], repository: str) -> None:
        """Write another repository's id into the names of containers.

        Engines refuse to give a container the name that it has.
        """
        names = {one.id: one.container_name for one in await self.listed()}
        wanted = {id: renamed(names[id], repository) for id in ids if id in names}

        async def rename(id: str) -> None:
            await self._act("POST", "/rename", {"name": wanted[id]}, id)

        await self._each([id for id in wanted if wanted[id] != names[id]], rename)

    async def _terminate(self, id: str) -> None:
        try:  # even if it is told to force it, Podman asks first, and waits
            await self._act("POST", "/kill", {"signal": "SIGKILL"}, id)
        except InvalidRequestError:
            pass  # it does not run
        await self._act("DELETE", "", {"force": "true", "v": "true"}, id)

    async def _halt(self, id: str) -> None:
        async with accompanied(self._insist_on_halt(id)):
            await self._act("POST", "/stop", {}, id)

    async def _insist_on_halt(self, id: str) -> None:
        """Repeat the signal: a systemd that is only starting has lost the first one."""
        while True:
            await anyio.sleep(DEAF)
            try:
                await self._act("POST", "/kill", {"signal": STOP_SIGNAL}, id)
            except ProviderError:
                return  # it runs no more, most likely, and to stop it was asked for

    async def _act(
        self, method: str, verb: str, parameters: Mapping[str, Any], id: str
    ) -> None:
        """Do something with a container; one that is gone is success."""
        try:
            await self._calls.send(
                method, f"containers/{id}{verb}", parameters=parameters
            )
        except NotThereError:
            pass

    async def _each(
        self, ids: Sequence[str], work: Callable[[str], Coroutine[Any, Any, None]]
    ) -> None:
        await each(ids, work, self._limiter)


def _unknown(error: ProviderError) -> bool:
    """Whether nobody knows what came of a request: its last answer was lost."""
    return isinstance(error, UnknownOutcomeError) or isinstance(
        error.__cause__, UnknownOutcomeError
    )
