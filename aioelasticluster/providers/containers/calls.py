"""Requests to one container engine, through aiodocker; repeated where that is safe."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import IO, Any

import aiohttp
from aiodocker import Docker, DockerError

from aioelasticluster._aio.blocking import Blocking
from aioelasticluster.errors import (
    InvalidRequestError,
    ProviderError,
    TransientError,
    UnknownOutcomeError,
)
from aioelasticluster.providers.containers.faults import NO_ANSWER, ours
from aioelasticluster.providers.containers.places import Place, find_place, unusable
from aioelasticluster.providers.repeating import RetryBudget, repeated

#: How long (seconds) the engine may take for one answer.
ANSWER = 120.0

_in_thread = Blocking(width=2, patience=30.0)


class NotThereError(InvalidRequestError):
    """The engine knows nothing of this name."""


class ConflictError(InvalidRequestError):
    """The name is taken."""


@asynccontextmanager
async def calling(docker_host: str | None) -> AsyncIterator[Calls]:
    """Find the engine and hold a connection for the block; raises `ProviderError`."""
    place = await _in_thread(find_place, docker_host)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=ANSWER)
    docker = Docker(place.url, timeout=timeout, ssl_context=place.tls)
    try:
        yield Calls(docker, place)
    finally:
        await docker.close()


class Calls:
    """One engine's API; foreign errors stop here."""

    def __init__(self, docker: Docker, place: Place) -> None:
        self.docker = docker
        self._place = place
        self._budget = RetryBudget()
        self._answered = False

    async def get(self, path: str, /, **parameters: Any) -> Any:
        """Return what a GET answers."""
        return await self.send("GET", path, parameters=parameters)

    async def listed(
        self, path: str, labels: Sequence[str], /, **parameters: Any
    ) -> Any:
        """Return what a list has that bears all of some labels."""
        filters = json.dumps({"label": list(labels)})
        return await self.get(path, filters=filters, **parameters)

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Any:
        """Send a request that bears repeating; return its JSON, None if it has none.

        Raises a `ProviderError`, never `UnknownOutcomeError`; `NotThereError` and
        `ConflictError` where the engine answers 404 and 409.
        """
        return await repeated(
            lambda: self._once(method, path, body, parameters), self._budget
        )

    async def _once(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        parameters: Mapping[str, Any] | None,
    ) -> Any:
        request = f"{method} /{path}"
        try:
            answer = self.docker._query(
                path,
                method,
                params=parameters,
                data=None if body is None else json.dumps(body),
            )
            async with answer as response, response:  # the client only hands it out
                content = await response.read()
        except DockerError as fault:
            raise self._ours(fault, request) from fault
        except (aiohttp.ClientError, OSError) as fault:
            raise UnknownOutcomeError(
                f"{request}: the answer was lost: {str(fault) or type(fault).__name__}"
            ) from fault
        self._answered = True
        plain = response.content_type == "application/json" and content
        return json.loads(content) if plain else content or None

    async def stream(
        self,
        path: str,
        content: bytes | IO[bytes],
        parameters: Mapping[str, Any],
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Post something large, once, and yield the lines (JSON) of the answer.

        To be closed by who does not read all of them.
        """
        request = f"POST /{path}"
        headers = {"Content-Type": "application/x-tar"}
        try:
            answer = self.docker._query(
                path,
                "POST",
                params=parameters,
                data=content,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=10.0),
            )
            async with answer as response, response:  # the client only hands it out
                async for line in response.content:
                    if line.strip():
                        yield json.loads(line)
        except DockerError as fault:
            raise self._ours(fault, request) from fault
        except (aiohttp.ClientError, OSError) as fault:
            raise UnknownOutcomeError(
                f"{request}: the answer was lost: {str(fault) or type(fault).__name__}"
            ) from fault

    def _ours(self, fault: DockerError, request: str) -> ProviderError:
        if fault.status == 404:
            return NotThereError(f"{request}: {fault.message}", code="404")
        if fault.status == NO_ANSWER:
            return self._of_connection(fault, request)
        found = ours(fault, request)
        if fault.status == 409 and not found.retryable:
            return ConflictError(f"{request}: {fault.message}", code="409")
        return found

    def _of_connection(self, fault: DockerError, request: str) -> ProviderError:
        """Tell an engine that is not there from one that went away meanwhile."""
        cause = fault.__context__
        refused = isinstance(cause, aiohttp.ClientConnectorError)
        if refused and not self._answered:
            assert isinstance(cause, aiohttp.ClientConnectorError)
            return unusable([(self._place.url, cause.os_error)])
        if refused:
            return TransientError(f"{request}: {fault.message}")
        return UnknownOutcomeError(f"{request}: the answer was lost: {fault.message}")
