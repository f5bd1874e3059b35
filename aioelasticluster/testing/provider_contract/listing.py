"""What the lists of instances promise."""

from __future__ import annotations

import uuid
from dataclasses import replace

import anyio

from aioelasticluster.providers.base import (
    AbstractCloudProvider,
    LaunchOrder,
)
from aioelasticluster.testing.provider_contract.fixtures import (
    ProviderFixtures,
    ids_of,
)


class ListingPromises(ProviderFixtures):
    """Tests of `find`, `describe` and `retag`."""

    async def test_tags_come_back_as_they_were_given(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        """From the launch itself and from every way to list."""
        launched = await self.launched(provider, order)
        ids = [instance.id for instance in launched.instances]
        cluster = order.tags.cluster_id
        for listed in (
            launched.instances,
            await provider.find(token=order.token),
            await provider.find(cluster_id=cluster),
            await provider.describe(cluster, ids),
        ):
            assert [instance.tags for instance in listed] == [order.tags] * 2

    async def test_other_orders_and_clusters_are_not_listed(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        """Not even where their ids are asked for by the wrong cluster."""
        launched = await self.launched(provider, order)
        ids = [instance.id for instance in launched.instances]
        other = uuid.uuid4().hex
        assert not await provider.find(token=other)
        assert not await provider.find(cluster_id=other)
        assert not await provider.describe(other, ids)

    async def test_without_a_filter_all_of_ours_are_found(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        """That is how orphans come to light."""
        launched = await self.launched(provider, order)
        assert ids_of(launched.instances) <= ids_of(await provider.find())

    async def test_another_handle_finds_the_same_instances(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        """The adapter keeps nothing to itself that the cloud does not know."""
        launched = await self.launched(provider, order)
        another = self.rebuild(provider)
        async with another:
            assert await another.identity() == await provider.identity()
            found = await another.find(token=order.token)
        assert ids_of(found) == ids_of(launched.instances)

    async def test_a_new_repository_is_written_into_the_tags(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        """All other tags and instances stay as they are; it bears repeating."""
        launched = await self.launched(provider, order)
        first = launched.instances[0]
        for _ in range(2):
            await provider.retag([first.id], repository="sqlite-other")
        found = await provider.find(cluster_id=order.tags.cluster_id)
        for instance in found:
            moved = instance.id == first.id
            repository = "sqlite-other" if moved else order.tags.repository
            assert instance.tags == replace(order.tags, repository=repository)

    async def test_host_keys_are_those_of_the_instances_that_are_asked_for(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        """They come within `patience`; what is unknown is left out."""
        self.needs(provider, "cloud_host_keys")
        launched = await self.launched(provider, order)
        ids = [instance.id for instance in launched.instances]
        with anyio.fail_after(self.patience):
            while True:
                keys = await provider.host_keys([*ids, "unknown"])
                if len(keys) == len(ids):
                    break
                await anyio.sleep(provider.poll_pauses[0])
        assert set(keys) == set(ids)
        for shown in keys.values():
            assert shown
            assert all(len(key.split()) >= 2 for key in shown)
