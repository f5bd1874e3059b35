"""What every engine function works with: one operation on one cluster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from aioelasticluster.engine.journal import Journal
from aioelasticluster.engine.retry import insist
from aioelasticluster.errors import WrongAccountError
from aioelasticluster.model.names import host_alias
from aioelasticluster.model.records import NodeRecord, OrderRecord
from aioelasticluster.providers.base import AbstractCloudProvider, Instance
from aioelasticluster.ssh.base import AbstractTransport, HostKeyPolicy, SshTarget

T = TypeVar("T")

#: How long (seconds) the cloud may throttle one request until that is its answer.
THROTTLED = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """The parts of a cluster while a public operation runs on it."""

    provider: AbstractCloudProvider
    transport: AbstractTransport
    journal: Journal
    repository_id: str

    @property
    def cluster_id(self) -> str:
        """The id that all its instances are tagged with."""
        return self.journal.head.id

    @property
    def policy(self) -> HostKeyPolicy:
        """Where the trust in its nodes' host keys comes from."""
        return HostKeyPolicy(self.journal.head.host_keys)

    async def ask(self, request: str, call: Callable[[], Awaitable[T]]) -> T:
        """Ask the cloud what bears repeating, with patience; raises `ProviderError`."""
        return await insist(
            call,
            request=request,
            cluster=self.journal.head.name,
            listen=self.journal.listen,
            patience=THROTTLED,
        )

    async def check_account(self) -> None:
        """Raise `WrongAccountError` unless the credentials lead where it lives."""
        found = await self.ask("identity", self.provider.identity)
        expected = self.journal.head.identity
        if not expected:
            self.journal.put_head(identity=found)
        elif expected != found:
            raise WrongAccountError(expected, found)

    async def find(self) -> Sequence[Instance]:
        """Return all instances that bear the cluster's id."""
        return await self.ask(
            "find", lambda: self.provider.find(cluster_id=self.cluster_id)
        )

    async def terminate(self, ids: Sequence[str]) -> None:
        """Terminate instances; none is success."""
        if ids:
            await self.ask("terminate", lambda: self.provider.terminate(ids))

    def order_of(self, node: NodeRecord) -> OrderRecord | None:
        """Return the order that a node was launched by."""
        return self.journal.orders.get(node.token)

    def target(self, node: NodeRecord, *, tries: int = 0) -> SshTarget:
        """Return how to reach a node; successive tries take its addresses in turn."""
        order = self.order_of(node)
        batch_key = order.host_key if order else ""
        return SshTarget(
            node=node.name,
            alias=host_alias(node.name, self.cluster_id),
            address=node.addresses[tries % len(node.addresses)],
            port=node.ssh_port,
            login=node.spec.image_user,
            host_keys=node.host_keys,
            policy=self.policy,
            host_ca=self.journal.head.host_ca,
            rotate_from=batch_key if batch_key in node.host_keys else "",
        )
