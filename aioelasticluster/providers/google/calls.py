"""Requests to the Compute Engine API: authorised, repeated where that is safe."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import anyio

from aioelasticluster._aio.blocking import Blocking
from aioelasticluster.errors import (
    InvalidRequestError,
    TransientError,
    UnknownOutcomeError,
)
from aioelasticluster.providers.google.faults import MISSING, of_answer, of_operation
from aioelasticluster.providers.google.target import Target
from aioelasticluster.providers.google.tokens import Tokens
from aioelasticluster.providers.repeating import RetryBudget, repeated

T = TypeVar("T")

#: How long (seconds) connecting, and an answer, may take. An operation is waited for
#: at most two minutes by Google itself.
CONNECT_TIMEOUT, READ_TIMEOUT, WAIT_TIMEOUT = 10.0, 60.0, 150.0

#: Pause (seconds) after a wait: Google may cut it short, and says so by nothing.
EARLY = 0.05

#: Requests under way at once.
CONNECTIONS = 32

#: Replies from this size (bytes) on are parsed in a thread.
LARGE = 256 * 1024

_in_thread = Blocking(width=2, patience=60.0)


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    url: str
    body: Any
    query: Mapping[str, str]

    @property
    def label(self) -> str:
        return f"{self.method} {self.path or '/'}"


class Calls:
    """A session that is open, its token and its budget for repetitions."""

    def __init__(self, target: Target, session: aiohttp.ClientSession) -> None:
        self.target = target
        self._session = session
        self._tokens = Tokens(target, session)
        self._budget = RetryBudget()
        #: Tells the ids of this session's requests from all others'.
        self.session_id = uuid.uuid4().hex
        #: How often Google has failed to delete an instance, by its id.
        self.undeleted = Counter[str]()

    async def get(self, path: str, **query: str) -> Mapping[str, Any]:
        """Return what a GET answers; raises `ProviderError`."""
        return await self.send("GET", path, **query)

    async def send(
        self, method: str, path: str, body: Any = None, **query: str
    ) -> Mapping[str, Any]:
        """Send a request that bears repeating; `path` begins below the project.

        Raises a `ProviderError`, never `UnknownOutcomeError`.
        """
        return await self.repeat(lambda: self.once(method, path, body, **query))

    async def repeat(self, step: Callable[[], Awaitable[T]]) -> T:
        """Take a step that bears repeating, as `send` does."""
        return await repeated(step, self._budget)

    async def once(
        self, method: str, path: str, body: Any = None, **query: str
    ) -> Mapping[str, Any]:
        """Send a request, again only with a fresh token; raises `ProviderError`."""
        project = query.pop("project", "") or self.target.project
        url = f"{self.target.api_root}/projects/{project}{path}"
        request = _Request(method, path, url, body, query)
        token = await self._tokens.get()
        status, content = await self._answer(request, token)
        if status == 401:  # nothing was done yet, and another token may do
            self._tokens.expire(token)
            status, content = await self._answer(request, await self._tokens.get())
        return await _read(content, status, request.label)

    async def _answer(self, request: _Request, token: str) -> tuple[int, bytes]:
        label = request.label
        waits = request.path.endswith("/wait")
        try:
            async with self._session.request(
                request.method,
                request.url,
                params=request.query,
                json=request.body,
                headers={"Authorization": f"Bearer {token}"},
                timeout=aiohttp.ClientTimeout(
                    total=WAIT_TIMEOUT if waits else READ_TIMEOUT,
                    sock_connect=CONNECT_TIMEOUT,
                ),
            ) as answer:
                return answer.status, await answer.read()
        except aiohttp.ClientSSLError as fault:
            raise InvalidRequestError(f"api_root: {label}: {fault}") from fault
        except aiohttp.ClientConnectorError as fault:
            raise TransientError(f"{label} did not reach Google: {fault}") from fault
        except (TimeoutError, aiohttp.ClientError, OSError) as fault:
            raise UnknownOutcomeError(
                f"{label}: the answer was lost: {fault!r}"
            ) from fault


async def _read(content: bytes, status: int, label: str) -> Mapping[str, Any]:
    try:
        if len(content) < LARGE:
            parsed = json.loads(content or b"{}")
        else:
            parsed = await _in_thread(json.loads, content)
    except ValueError as fault:
        if status >= 400:
            raise of_answer(status, {}, label) from fault
        raise UnknownOutcomeError(f"{label}: the answer was cut short") from fault
    if status >= 400:
        raise of_answer(status, parsed, label)
    answer: Mapping[str, Any] = parsed
    return answer


async def missing_is_none(asking: Awaitable[T]) -> T | None:
    """Return what a request answers, None if what it is about does not exist."""
    try:
        return await asking
    except InvalidRequestError as error:
        if error.code not in MISSING:
            raise
        return None


@asynccontextmanager
async def calling(target: Target) -> AsyncIterator[Calls]:
    """Hold a session open for the block."""
    # Proxies are those of the environment; ~/.netrc is not asked for another login.
    proxy = None if proxy_bypass(urlsplit(target.api_root).netloc) else getproxies()
    scheme = urlsplit(target.api_root).scheme
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS),
        proxy=(proxy or {}).get(scheme),
    ) as session:
        yield Calls(target, session)


async def done(calls: Calls, operation: Mapping[str, Any]) -> Mapping[str, Any]:
    """Wait until an operation is done, which the server does for us; return it."""
    while operation["status"] != "DONE":
        name = operation["name"]
        if zone := operation.get("zone"):
            scope = f"/zones/{zone.rpartition('/')[2]}"
        elif region := operation.get("region"):
            scope = f"/regions/{region.rpartition('/')[2]}"
        else:
            scope = "/global"
        operation = await calls.send("POST", f"{scope}/operations/{name}/wait")
        if operation["status"] != "DONE":
            await anyio.sleep(EARLY)
    return operation


async def succeeded(calls: Calls, operation: Mapping[str, Any]) -> None:
    """Wait until an operation is done; raises why it failed."""
    if (fault := of_operation(await done(calls, operation))) is not None:
        raise fault
