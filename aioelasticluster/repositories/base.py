"""The repository contract: records, transactions and leases.

A repository stores `ClusterRecord`s and knows nothing of clouds. `get`, `get_all`
and `save` are the same for all and build the handles that users hold.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from aioelasticluster._aio.shared import HeldInBlock
from aioelasticluster._process import ProcessIdentity
from aioelasticluster.model.records import Change, ClusterRecord

if TYPE_CHECKING:
    from aioelasticluster.cluster import Cluster
    from aioelasticluster.providers.base import AbstractCloudProvider
    from aioelasticluster.setup.base import AbstractSetupProvider


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to write one cluster's record, until `expires`.

    `fence` grows with every new holder: a write under an older fence is refused.
    `expires` is wall-clock time, since other processes must be able to judge it.
    """

    name: str
    fence: int
    holder: ProcessIdentity
    expires: float


class AbstractClusterRepository(HeldInBlock, ABC):
    """A store of clusters. Subclass it to keep them elsewhere.

    Constructors open nothing. The coroutines work only while `opened()` is entered:
    the library does that around each operation, `async with repository` keeps it
    open for longer. A cancelled write may still be written: callers never infer
    "not written" from a cancellation.
    """

    #: Under which name the repository is spoken of, such as `sqlite`.
    adapter: ClassVar[str]

    @abstractmethod
    async def id(self) -> str:
        """Return the repository's own id: at most 60 of `[a-z0-9_-]`, for ever.

        Instances are tagged with it. A repository that dies with its process says
        so by the prefix `mem-`.
        """

    @abstractmethod
    async def load(self, name: str) -> ClusterRecord:
        """Return a cluster's record; raise `ClusterNotFoundError`."""

    @abstractmethod
    async def load_all(self) -> Sequence[ClusterRecord]:
        """Return all records, by name."""

    @abstractmethod
    async def transaction(self, lease: Lease, change: Change) -> None:
        """Write a change whole or not at all; the first one carries the head.

        Raises `LeaseLostError`, and writes nothing, if `lease.fence` is not the
        newest fence of `lease.name`. An expired lease that nobody took over still
        writes.
        """

    @abstractmethod
    async def forget(self, lease: Lease) -> None:
        """Delete the record of `lease.name`, fenced as `transaction`.

        The lease itself stays until it is released. No record is success.
        """

    @abstractmethod
    async def acquire(self, name: str, *, ttl: float) -> Lease:
        """Take the lease of a name, recorded or not, for ttl seconds.

        Raises `ClusterBusyError`, naming the holder, while a live holder's lease has
        not expired. A holder that is known to be dead is taken over at once. The
        same process may not take it twice: that is `ClusterBusyError` too.
        """

    @abstractmethod
    async def renew(self, lease: Lease, *, ttl: float) -> Lease:
        """Return the lease with a later expiry; raise `LeaseLostError`."""

    @abstractmethod
    async def release(self, lease: Lease) -> None:
        """Give a lease back; one that was lost or released already is success."""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Hold open what the coroutines need for the block; counted, as providers."""
        yield

    async def get(
        self,
        name: str,
        *,
        cloud_provider: AbstractCloudProvider | None = None,
        setup_provider: AbstractSetupProvider | None = None,
        **options: Any,
    ) -> Cluster:
        """Return a handle on a recorded cluster; raise `ClusterNotFoundError`.

        Providers are rebuilt from their recorded settings unless they are given:
        secrets are never recorded, so they come from where the SDK finds them. The
        handle does not stop the cluster when its block is left, unless
        `stop_on_exit=True` is among the options (those of `Cluster`).
        """
        from aioelasticluster.cluster import Cluster

        async with self.opened():
            record = await self.load(name)
        return Cluster.from_record(
            record, self, cloud_provider, setup_provider, **options
        )

    async def get_all(self) -> list[Cluster]:
        """Return handles on all recorded clusters, by name."""
        from aioelasticluster.cluster import Cluster

        async with self.opened():
            records = await self.load_all()
        return [Cluster.from_record(record, self) for record in records]

    async def save(self, cluster: Cluster) -> None:
        """Record a cluster here, and from now on here only.

        A cluster that was launched from another repository moves: its instances
        are tagged anew, its record there is deleted.
        """
        await cluster.move_to(self)

    async def delete(self, name: str) -> None:
        """Delete a record; its instances, if any, become orphans.

        Raises `ClusterNotFoundError` and `ClusterBusyError`.
        """
        async with self.opened():
            await self.load(name)
            lease = await self.acquire(name, ttl=30.0)
            try:
                await self.forget(lease)
            finally:
                await self.release(lease)
