"""Access tokens: of a service account, a user, an external account, the machine."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import aiohttp
import anyio
import jwt
from gcloud.aio.auth import Token
from gcloud.aio.auth.token import Type

from aioelasticluster._aio.blocking import Blocking
from aioelasticluster.errors import (
    ProviderError,
    ThrottledError,
    TransientError,
    UnauthorizedError,
)
from aioelasticluster.providers.google.target import Target

#: How long (seconds) a token may take.
PATIENCE = 10.0

#: A token is no more used for the last so many seconds of its life.
RESERVE = 60.0

SCOPE = "https://www.googleapis.com/auth/compute"

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
        on_google = False
        try:
            # `refresh` is one try; `get` would hide wrong credentials behind five.
            source = await _in_thread(self._source)
            on_google = source.token_type is Type.GCE_METADATA
            if on_google:
                where = "the metadata server, for there is no file with any"
            answer = await source.refresh(timeout=int(PATIENCE))
        except (
            *(aiohttp.ClientError, json.JSONDecodeError, jwt.PyJWTError),
            *(OSError, ValueError, KeyError, TypeError),
        ) as fault:
            kind = _kind_of(fault)
            if on_google and isinstance(
                fault, (aiohttp.ClientConnectionError, OSError)
            ):
                kind = UnauthorizedError  # there is no such server, now or later
            text = f"credentials: no token from {where}: {_words_of(fault)}"
            raise kind(text) from fault
        self._token = answer.value
        self._until = time.time() + max(0.0, answer.expires_in - RESERVE)

    def _source(self) -> Token:
        """Read the credentials; those of the machine are for who has no file at all."""
        named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        if file := self._target.credentials or named:
            _check_file(file)
        return Token(
            service_file=self._target.credentials,
            session=self._session,  # type: ignore[arg-type]  # theirs are untyped
            scopes=[SCOPE],
        )


def _check_file(file: str) -> None:
    """Raise `UnauthorizedError` for a file that is no credentials'."""
    try:
        content = json.loads(Path(file).read_bytes())
    except (OSError, ValueError) as fault:
        raise UnauthorizedError(f"credentials: {file}: {fault}") from fault
    if not isinstance(content, dict) or "type" not in content:
        raise UnauthorizedError(f"credentials: {file}: there is no `type` in it")


#: Answers that were lost, or cut short, on their way.
_LOST = (
    *(aiohttp.ClientConnectionError, aiohttp.ClientPayloadError),
    *(aiohttp.ContentTypeError, json.JSONDecodeError, TimeoutError),
)


def _kind_of(fault: Exception) -> type[ProviderError]:
    """Tell what another try may mend from credentials that are wrong."""
    if isinstance(fault, aiohttp.ClientSSLError):
        return UnauthorizedError
    if isinstance(fault, _LOST):
        return TransientError
    if isinstance(fault, aiohttp.ClientResponseError):
        if fault.status == 429:
            return ThrottledError
        return TransientError if fault.status >= 500 else UnauthorizedError
    return UnauthorizedError


def _words_of(fault: Exception) -> str:
    if isinstance(fault, aiohttp.ClientResponseError):
        return f"{fault.status} {fault.message}"
    return str(fault) if isinstance(fault, aiohttp.ClientSSLError) else repr(fault)
