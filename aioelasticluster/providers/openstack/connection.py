"""The bridge to openstacksdk, which blocks: each request is made in a thread."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self, cast

import openstack
from keystoneauth1.session import TCPKeepAliveAdapter
from openstack.connection import Connection

from aioelasticluster._aio.blocking import Blocking
from aioelasticluster.providers.openstack.faults import FOREIGN, of_answer, ours
from aioelasticluster.providers.openstack.target import Target
from aioelasticluster.providers.repeating import RetryBudget, repeated

#: Requests under way at once, and connections kept for each service.
WIDTH = 16

#: How long (seconds) a service may take for an answer.
READ_TIMEOUT = 60.0

#: The version of Nova's API that is spoken: tags in the create call need it.
COMPUTE = "2.52"

_PREFIXES = {"image": "/v2", "network": "/v2.0"}


class Calls:
    """Requests to the services of one cloud; repeated where that is safe.

    Token, catalogue and versions are kept from one opening to the next; sockets are
    not.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._in_thread = Blocking(width=WIDTH, patience=2 * READ_TIMEOUT)
        self._making = threading.Lock()
        self._made: Connection | None = None
        self._counting = threading.Lock()
        self._users = 0
        self._budget = RetryBudget()

    async def identity(self) -> str:
        """Return keystone's URL, the region and the project's id."""

        def ask() -> str:
            connection = self._connection()
            for service in ("compute", "network"):
                _ = getattr(connection, service).request  # raises if it is not there
            url = connection.config.get_auth_args().get("auth_url", "")
            keystone = url.rstrip("/").removesuffix("/v3")  # however it is written
            project = connection.session.get_project_id()
            return f"{keystone}:{connection.config.get_region_name() or ''}:{project}"

        return await repeated(lambda: self._guarded("identity", ask), self._budget)

    async def get(
        self, service: str, path: str, **parameters: Any
    ) -> Mapping[str, Any]:
        """Return what a GET answers."""
        return await self.send(service, "GET", path, params=parameters)

    async def send(
        self, service: str, method: str, path: str, **request: Any
    ) -> Mapping[str, Any]:
        """Send a request that bears repeating; returns its JSON, {} if it has none.

        Raises a `ProviderError`, never `UnknownOutcomeError`.
        """
        return await repeated(
            lambda: self.once(service, method, path, **request), self._budget
        )

    async def once(
        self, service: str, method: str, path: str, **request: Any
    ) -> Mapping[str, Any]:
        """Send a request once; raises `ProviderError`."""

        def ask() -> Mapping[str, Any]:
            return self._answer(service, method, path, request)

        answer: Mapping[str, Any] = await self._guarded(f"{method} {path}", ask)
        return answer

    async def _guarded(self, request: str, ask: Any) -> Any:
        try:
            return await self._in_thread(ask)
        except FOREIGN as fault:
            raise ours(fault, request) from fault

    # In the thread

    def _answer(
        self, service: str, method: str, path: str, request: dict[str, Any]
    ) -> Mapping[str, Any]:
        adapter = getattr(self._connection(), service)
        if service == "compute":
            request = {"microversion": COMPUTE, **request}
        bare = self._bare(adapter, service)
        url = _PREFIXES.get(service, "") + path if bare else path
        answer = adapter.request(url, method, raise_exc=False, **request)
        if answer.status_code == 401:
            # Another thread was just replacing the token: the SDK gave up on ours.
            answer = adapter.request(url, method, raise_exc=False, **request)
        if answer.status_code >= 400:
            raise of_answer(answer, f"{method} {path}")
        if not answer.content:
            return {}
        return cast("Mapping[str, Any]", answer.json())

    def _bare(self, adapter: Any, service: str) -> bool:
        """Whether a service's endpoint lacks the version that its paths begin with."""
        prefix = _PREFIXES.get(service)
        return bool(prefix) and prefix not in (adapter.get_endpoint() or "")

    def _connection(self) -> Connection:
        """Return the connection, made and authenticated on first use."""
        with self._making:
            if self._made is None:
                made = openstack.connect(
                    **self._target.configuration(), api_timeout=READ_TIMEOUT
                )
                for scheme in ("http://", "https://"):
                    pool = TCPKeepAliveAdapter(pool_maxsize=WIDTH)
                    made.session.session.mount(scheme, pool)
                made.session.get_token()  # `authorize` hides what the fault is
                self._made = made
            return self._made

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Self]:
        """Keep sockets for the block; the last of all loops' blocks closes them."""
        with self._counting:
            self._users += 1
        try:
            yield self
        finally:
            with self._counting:
                self._users -= 1
                last = not self._users
            if last and self._made is not None:
                await self._in_thread(self._made.session.session.close)
