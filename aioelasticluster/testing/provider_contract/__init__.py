"""The promises of AbstractCloudProvider as tests; every adapter must keep them.

For an adapter of your own::

    class TestMyCloud(ProviderContract):
        def make(self, folder: Path) -> MyCloudProvider:
            return MyCloudProvider(...)

The tests launch, describe and end real instances (at most three at once) through the
provider, never by looking behind it; what a failed test has left is ended. They are
coroutines that anyio's pytest plugin runs on asyncio.
"""

from __future__ import annotations

from aioelasticluster.testing.provider_contract.ending import EndPromises
from aioelasticluster.testing.provider_contract.handling import HandlePromises
from aioelasticluster.testing.provider_contract.launching import LaunchPromises
from aioelasticluster.testing.provider_contract.listing import ListingPromises

__all__ = ["ProviderContract"]


class ProviderContract(LaunchPromises, ListingPromises, EndPromises, HandlePromises):
    """Subclass it, and let `make` return your provider."""
