"""Requests to EC2: admitted, sent, repeated where that is safe; errors are ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
from aiobotocore.config import AioConfig
from botocore import xform_name

from aioelasticluster._aio.blocking import Blocking
from aioelasticluster.errors import ThrottledError
from aioelasticluster.providers.ec2.faults import FOREIGN, ours
from aioelasticluster.providers.ec2.limits import Limits, limits_of
from aioelasticluster.providers.ec2.loading import new_session
from aioelasticluster.providers.ec2.target import Target
from aioelasticluster.providers.repeating import repeated

#: How long (seconds) connecting, and an answer, may take.
CONNECT_TIMEOUT, READ_TIMEOUT = 10.0, 60.0

#: Requests under way at once.
CONNECTIONS = 32

_in_thread = Blocking(width=1, patience=60.0)


class Calls:
    """A client that is open, and the account's limits."""

    def __init__(self, target: Target, limits: Limits, stack: AsyncExitStack) -> None:
        self.target = target
        self._limits = limits
        self._stack = stack
        self._clients: dict[str, Any] = {}
        self._opening = anyio.Lock()

    async def __call__(
        self, action: str, *, instances: int = 0, **parameters: Any
    ) -> Mapping[str, Any]:
        """Send a request that bears repeating; `instances` is how many it touches.

        Raises a `ProviderError`, never `UnknownOutcomeError`.
        """
        return await repeated(
            lambda: self.once(action, instances=instances, **parameters),
            self._limits.retries,
        )

    async def once(
        self, action: str, *, instances: int = 0, **parameters: Any
    ) -> Mapping[str, Any]:
        """Send a request once, within the account's limits; raises `ProviderError`."""
        await self._limits.admit(action, instances)
        try:
            answer: Mapping[str, Any] = await self._send(action, parameters)
        except FOREIGN as fault:
            error = ours(fault, action, self.target.caller)
            self._limits.untouched(action, instances)
            if isinstance(error, ThrottledError):
                self._limits.refused(action)
            raise error from fault
        return answer

    def untouched(self, action: str, instances: int) -> None:
        """Give back what an answered request did not need of the limits."""
        self._limits.untouched(action, instances)

    async def pages(
        self, action: str, item: str, **parameters: Any
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the items of all pages of a list."""
        token: dict[str, Any] = {}
        while True:
            page = await self(action, **parameters, **token)
            for each in page.get(item, ()):
                yield each
            if not page.get("NextToken"):
                return
            token = {"NextToken": page["NextToken"]}

    async def enumeration(self, shape: str) -> frozenset[str]:
        """Return the values that botocore knows of one of EC2's enumerations."""
        client = await self._client("ec2")
        return frozenset(client.meta.service_model.shape_for(shape).enum)

    async def _send(self, action: str, parameters: Mapping[str, Any]) -> Any:
        service = "sts" if action == "GetCallerIdentity" else "ec2"
        client = await self._client(service)
        return await getattr(client, xform_name(action))(**parameters)

    async def _client(self, service: str) -> Any:
        """Return a service's client, made on first use."""
        async with self._opening:
            if service not in self._clients:
                self._clients[service] = await self._make_client(service)
            return self._clients[service]

    async def _make_client(self, service: str) -> Any:
        target = self.target
        config = AioConfig(
            retries={"total_max_attempts": 1},  # repeated above, within the limits
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            max_pool_connections=CONNECTIONS,
        )
        session = await _in_thread(new_session, target.profile)
        making = session.create_client(
            service,
            region_name=target.region,
            endpoint_url=target.url,
            aws_access_key_id=target.access_key,
            aws_secret_access_key=target.secret_key,
            aws_session_token=target.session_token,
            config=config,
        )
        return await self._stack.enter_async_context(making)


@asynccontextmanager
async def calling(target: Target) -> AsyncIterator[Calls]:
    """Hold a client open for the block; it is made with the first request."""
    async with AsyncExitStack() as stack:
        yield Calls(target, limits_of(target.account), stack)
