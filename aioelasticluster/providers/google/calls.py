"""Requests to the Compute Engine API: authorised, repeated where that is safe."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import anyio
import jwt
from gcloud.aio.auth import Token
from gcloud.aio.auth.token import Type

from aioelasticluster._aio.blocking import Blocking
from aioelasticluster.errors import (
    InvalidRequestError,
    ProviderError,
    TransientError,
    UnauthorizedError,
    UnknownOutcomeError,
)
from aioelasticluster.providers.google.faults import of_answer
from aioelasticluster.providers.google.target import Target
from aioelasticluster.providers.repeating import RetryBudget, repeated

#: How long (seconds) connecting, and an answer, may take. An operation is waited for
#: at most two minutes by Google itself.
CONNECT_TIMEOUT, READ_TIMEOUT, WAIT_TIMEOUT = 10.0, 60.0, 150.0

#: Pause (seconds) after a wait: Google may cut it short, and says so by nothing.
EARLY = 0.05

#: Requests under way at once.
CONNECTIONS = 32

#: A token is no more used for the last so many seconds of its life.
TOKEN_RESERVE = 60.0

SCOPE = "https://www.googleapis.com/auth/compute"

#: Replies from this size (bytes) on are parsed in a thread.
LARGE = 256 * 1024

_in_thread = Blocking(width=2, patience=60.0)


class Tokens:
    """The access token of some credentials, fetched when it is needed."""

    def __init__(self, target: Target, session: aiohttp.ClientSession) -> None:
        self._target = target
        self._session = session
        self._token = ""
        self._until = 0.0
        self._fetching = anyio.Lock()

    async def get(self) -> str:
        """Return a token; raises `UnauthorizedError` if the credentials have none."""
        async with self._fetching:
            if time.time() > self._until:
                await self._fetch()
            return self._token

    def expire(self, token: str) -> None:
        """Note that Google refuses a token."""
        if token == self._token:
            self._until = 0.0

    async def _fetch(self) -> None:
        where = self._target.credentials or "Google's default credentials"
        on_google, kind = False, ProviderError
        try:
            # `refresh` is one try; `get` would hide wrong credentials behind five.
            source = await _in_thread(self._source)
            on_google = source.token_type is Type.GCE_METADATA
            if on_google:
                where = "the metadata server, for there is no file with any"
            answer = await source.refresh(timeout=int(CONNECT_TIMEOUT))
        except aiohttp.ClientSSLError as fault:
            raise UnauthorizedError(f"credentials: {where}: {fault}") from fault
        except (aiohttp.ClientConnectionError, TimeoutError) as fault:
            # Off Google there is no metadata server, now or later.
            kind = UnauthorizedError if on_google else TransientError
            raise kind(f"credentials: no token from {where}: {fault!r}") from fault
        except aiohttp.ClientResponseError as fault:
            kind = TransientError if fault.status >= 500 else UnauthorizedError
            text = f"credentials: no token for {where}: {fault.status} {fault.message}"
            raise kind(text) from fault
        except (OSError, ValueError, KeyError, TypeError, jwt.PyJWTError) as fault:
            raise UnauthorizedError(f"credentials: {where}: {fault!r}") from fault
        self._token = answer.value
        self._until = time.time() + max(0.0, answer.expires_in - TOKEN_RESERVE)

    def _source(self) -> Token:
        return Token(
            service_file=self._target.credentials,
            session=self._session,  # type: ignore[arg-type]  # theirs are untyped
            scopes=[SCOPE],
        )


class Calls:
    """A session that is open, its token and its budget for repetitions."""

    def __init__(self, target: Target, session: aiohttp.ClientSession) -> None:
        self.target = target
        self._session = session
        self._tokens = Tokens(target, session)
        self._budget = RetryBudget()

    async def get(self, path: str, **query: str) -> Mapping[str, Any]:
        """Return what a GET answers; raises `ProviderError`."""
        return await self.send("GET", path, **query)

    async def send(
        self, method: str, path: str, body: Any = None, **query: str
    ) -> Mapping[str, Any]:
        """Send a request that bears repeating; `path` begins below the project.

        Raises a `ProviderError`, never `UnknownOutcomeError`.
        """
        return await repeated(
            lambda: self.once(method, path, body, **query), self._budget
        )

    async def once(
        self, method: str, path: str, body: Any = None, **query: str
    ) -> Mapping[str, Any]:
        """Send a request, again only with a fresh token; raises `ProviderError`."""
        for fresh in (False, True):
            token = await self._tokens.get()
            try:
                return await self._send(method, path, body, dict(query), token)
            except UnauthorizedError as error:
                if fresh or error.code not in ("401", "authError"):
                    raise
                self._tokens.expire(token)
        raise AssertionError("the second try returns or raises")

    async def _send(
        self, method: str, path: str, body: Any, query: dict[str, str], token: str
    ) -> Mapping[str, Any]:
        project = query.pop("project", "") or self.target.project
        url = f"{self.target.api_root}/projects/{project}{path}"
        label = f"{method} {path or '/'}"
        patience = WAIT_TIMEOUT if path.endswith("/wait") else READ_TIMEOUT
        try:
            async with self._session.request(
                method,
                url,
                params=query,
                json=body,
                headers={"Authorization": f"Bearer {token}"},
                timeout=aiohttp.ClientTimeout(
                    total=patience, sock_connect=CONNECT_TIMEOUT
                ),
            ) as answer:
                content = await answer.read()
                status = answer.status
        except aiohttp.ClientSSLError as fault:
            raise InvalidRequestError(f"api_root: {label}: {fault}") from fault
        except aiohttp.ClientConnectorError as fault:
            raise TransientError(f"{label} did not reach Google: {fault}") from fault
        except (TimeoutError, aiohttp.ClientError, OSError) as fault:
            raise UnknownOutcomeError(
                f"{label}: the answer was lost: {fault!r}"
            ) from fault
        return await _read(content, status, label)


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


async def missing_is_none(asking: Any) -> Mapping[str, Any] | None:
    """Return what a request answers, None if what it is about does not exist."""
    try:
        answer: Mapping[str, Any] = await asking
    except InvalidRequestError as error:
        if error.code not in ("404", "notFound", "RESOURCE_NOT_FOUND"):
            raise
        return None
    return answer


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
        await anyio.sleep(EARLY)
    return operation
