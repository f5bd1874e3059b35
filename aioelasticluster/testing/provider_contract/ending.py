"""What ends and pauses, and what is made around instances."""

from __future__ import annotations

from aioelasticluster.providers.base import (
    AbstractCloudProvider,
    InstanceState,
    LaunchOrder,
)
from aioelasticluster.testing.provider_contract.fixtures import (
    ProviderFixtures,
    ids_of,
)


class EndPromises(ProviderFixtures):
    """Tests of `terminate`, `pause`, `prepare` and `cleanup`."""

    async def test_terminated_instances_vanish_from_the_list(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        """Those that were not named stay."""
        launched = await self.launched(provider, order)
        gone, kept = (instance.id for instance in launched.instances)
        await provider.terminate([gone])
        await self.until(provider, order, [gone], lambda found: not found)
        cluster = order.tags.cluster_id
        assert ids_of(await provider.find(cluster_id=cluster)) == {kept}

    async def test_terminating_what_is_gone_or_unknown_is_success(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        """Whoever repeats it after a crash must not fail."""
        launched = await self.launched(provider, order)
        ids = [instance.id for instance in launched.instances]
        await provider.terminate(ids)
        await provider.terminate(ids)
        await self.until(provider, order, ids, lambda found: not found)
        await provider.terminate(ids)

    async def test_terminating_nothing_is_success(
        self, provider: AbstractCloudProvider
    ) -> None:
        """No ids are no error."""
        await provider.terminate([])

    async def test_preparing_twice_makes_the_same(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        """The second time finds what the first one made."""
        preparation = self.preparation(order)
        first = await provider.prepare(preparation)
        assert await provider.prepare(preparation) == first

    async def test_cleaning_up_twice_or_nothing_is_success(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        """What is not there need not be deleted."""
        await provider.cleanup(order.tags.cluster_id)
        await provider.prepare(self.preparation(order))
        await provider.cleanup(order.tags.cluster_id)
        await provider.cleanup(order.tags.cluster_id)

    async def test_a_paused_instance_can_be_resumed(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        """It runs, is paused, and runs again."""
        self.needs(provider, "pause")
        launched = await self.launched(provider, order)
        ids = [instance.id for instance in launched.instances]
        await self.all_in(provider, order, ids, InstanceState.RUNNING)
        await provider.pause(ids)
        await self.all_in(provider, order, ids, InstanceState.PAUSED)
        await provider.resume(ids)
        await self.all_in(provider, order, ids, InstanceState.RUNNING)

    async def test_a_paused_instance_can_be_terminated(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        """Without being resumed first."""
        self.needs(provider, "pause")
        launched = await self.launched(provider, order)
        ids = [instance.id for instance in launched.instances]
        await self.all_in(provider, order, ids, InstanceState.RUNNING)
        await provider.pause(ids)
        await provider.terminate(ids)
        await self.until(provider, order, ids, lambda found: not found)
