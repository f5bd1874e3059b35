"""A repository that lives and dies with its process: the default."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import count
from typing import ClassVar
from uuid import uuid4

from aioelasticluster._aio.clock import wall_clock
from aioelasticluster.errors import ClusterNotFoundError
from aioelasticluster.model.names import check_cluster_name
from aioelasticluster.model.records import Change, ClusterRecord
from aioelasticluster.repositories.base import AbstractClusterRepository, Lease
from aioelasticluster.repositories.leases import check_held, granted, renewed


class MemRepository(AbstractClusterRepository):
    """Keeps clusters in memory, for all loops of this process.

    What it knew is lost with the process; instances are then found by their tags.
    """

    adapter: ClassVar[str] = "memory"

    def __init__(self) -> None:
        self._id = f"mem-{uuid4().hex}"
        self._records: dict[str, ClusterRecord] = {}
        self._leases: dict[str, Lease] = {}
        self._fences = count(1)
        # Loops of several threads may share it; never held across an await.
        self._lock = threading.Lock()

    async def id(self) -> str:
        """Return the id, made with the object."""
        return self._id

    async def load(self, name: str) -> ClusterRecord:
        """Return a cluster's record; raise `ClusterNotFoundError`."""
        try:
            return self._records[name]
        except KeyError:
            raise ClusterNotFoundError(name) from None

    async def load_all(self) -> Sequence[ClusterRecord]:
        """Return all records, by name."""
        with self._lock:
            return [self._records[name] for name in sorted(self._records)]

    async def transaction(self, lease: Lease, change: Change) -> None:
        """Apply a change whole or not at all."""
        with self._lock:
            check_held(lease, self._leases.get(lease.name))
            record = self._records.get(lease.name)
            self._records[lease.name] = change.applied(record)

    async def forget(self, lease: Lease) -> None:
        """Delete the record of `lease.name`; no record is success."""
        with self._lock:
            check_held(lease, self._leases.get(lease.name))
            self._records.pop(lease.name, None)

    async def acquire(self, name: str, *, ttl: float) -> Lease:
        """Take the lease of a name; raise `ClusterBusyError`."""
        check_cluster_name(name)
        with self._lock:
            # A holder is of this process (or of the one that it was forked from): no
            # look into the process table is worth a thread.
            held, fence = self._leases.get(name), next(self._fences)
            lease = granted(name, held, fence, now=wall_clock(), ttl=ttl)
            self._leases[name] = lease
            return lease

    async def renew(self, lease: Lease, *, ttl: float) -> Lease:
        """Return the lease with a later expiry; raise `LeaseLostError`."""
        with self._lock:
            held = self._leases.get(lease.name)
            later = renewed(lease, held, now=wall_clock(), ttl=ttl)
            self._leases[lease.name] = later
            return later

    async def release(self, lease: Lease) -> None:
        """Give a lease back; one that was lost or released already is success."""
        with self._lock:
            held = self._leases.get(lease.name)
            if held is not None and held.fence == lease.fence:
                del self._leases[lease.name]

    def __repr__(self) -> str:
        return f"<MemRepository: {len(self._records)} clusters>"
