"""The promises of AbstractClusterRepository as tests; every adapter must pass them.

For an adapter of your own::

    class TestMyRepository(RepositoryContract):
        def make(self, folder: Path) -> MyRepository:
            return MyRepository(folder / "clusters")

The tests are coroutines that anyio's pytest plugin runs on asyncio.
"""

from __future__ import annotations

from aioelasticluster.testing.repository_contract.leases import LeasePromises
from aioelasticluster.testing.repository_contract.life import LifePromises
from aioelasticluster.testing.repository_contract.records import RecordPromises
from aioelasticluster.testing.repository_contract.samples import (
    head_of,
    node_of,
    order_of,
    whole,
)

__all__ = ["RepositoryContract", "head_of", "node_of", "order_of", "whole"]


class RepositoryContract(RecordPromises, LeasePromises, LifePromises):
    """Subclass it, and let `make` return your repository."""
