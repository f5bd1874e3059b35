"""What a launch promises, whole, in part, repeated or cancelled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from aioelasticluster.providers.base import (
    AbstractCloudProvider,
    InstanceState,
    Launched,
    LaunchOrder,
)
from aioelasticluster.testing.cancelling import WAYS, cancelled
from aioelasticluster.testing.provider_contract.fixtures import (
    ProviderFixtures,
    ids_of,
)


class LaunchPromises(ProviderFixtures):
    """Tests of `launch`."""

    async def test_instances_come_with_the_index_of_their_name(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        """The index tells which instance is which node, also after a crash."""
        launched = await self.launched(provider, order)
        assert launched.refused is None
        assert sorted(instance.index for instance in launched.instances) == [0, 1]
        names = {instance.index: instance.name for instance in launched.instances}
        assert names == {0: "compute001", 1: "compute003"}

    async def test_launched_instances_come_to_run_and_have_an_address(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        """They run within `patience`; where to reach them is known by then."""
        launched = await self.launched(provider, order)
        ids = [instance.id for instance in launched.instances]
        await self.all_in(provider, order, ids, InstanceState.RUNNING)
        for instance in await provider.describe(order.tags.cluster_id, ids):
            assert instance.addresses
            assert instance.ssh_port > 0

    async def test_a_repeated_token_launches_nothing_new(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        """The answer is the first one again."""
        self.needs(provider, "tokens")
        order = await self.prepared(provider, order)
        first = await provider.launch(order)
        again = await provider.launch(order)
        assert ids_of(again.instances) == ids_of(first.instances)

    async def test_repeats_at_the_same_time_launch_one_order(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        """All of them get the same answer."""
        self.needs(provider, "tokens")
        order = await self.prepared(provider, order)
        answers: list[Launched] = []

        async def launch() -> None:
            answers.append(await provider.launch(order))

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(launch)
        assert len({ids_of(answer.instances) for answer in answers}) == 1
        await anyio.sleep(provider.settle_window)
        assert len(await provider.find(cluster_id=order.tags.cluster_id)) == 2

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("after", [0.0, 0.02])
    async def test_a_cancelled_launch_can_be_found_by_its_token(
        self,
        provider: AbstractCloudProvider,
        order: LaunchOrder,
        way: str,
        after: float,
    ) -> None:
        """All or nothing of it; its repeat makes it whole and no more."""
        order = await self.prepared(provider, order)
        warm = self.order_of(order.tags.cluster_id, order.public_key, "compute009")
        warm = replace(warm, resources=order.resources, zone=order.zone)
        await provider.launch(warm)
        await cancelled(way, provider.launch(order), after=after)
        await anyio.sleep(provider.settle_window)
        found = await provider.find(token=order.token)
        assert len(found) in (0, 2)
        if provider.capabilities.tokens:
            launched = await provider.launch(order)
            assert ids_of(found) <= ids_of(launched.instances)
            await anyio.sleep(provider.settle_window)
            assert len(await provider.find(token=order.token)) == 2

    async def test_an_order_that_does_not_fit_is_filled_in_part(
        self, tmp_path: Path, cluster_id: str, public_key: str
    ) -> None:
        """What fits is kept; the answer or a further order says why the rest is not."""
        provider = self.small(tmp_path, 2)
        names = ("compute001", "compute002", "compute003")
        order = self.order_of(cluster_id, public_key, *names)
        async with provider:
            try:
                order = await self.prepared(provider, order)
                launched = await self.launched(provider, order)
                assert len(launched.instances) == 2
                if launched.refused is None:
                    rest = self.order_of(cluster_id, public_key, names[2])
                    with pytest.raises(self.no_room):
                        await provider.launch(await self.prepared(provider, rest))
                else:
                    assert isinstance(launched.refused, self.no_room)
                if provider.capabilities.tokens:
                    again = await provider.launch(order)
                    assert ids_of(again.instances) == ids_of(launched.instances)
            finally:
                await self.end_all(provider, cluster_id)

    async def test_an_order_without_any_room_is_an_error(
        self, tmp_path: Path, cluster_id: str, public_key: str
    ) -> None:
        """Nothing was launched, so there is nothing to return."""
        provider = self.small(tmp_path, 0)
        order = self.order_of(cluster_id, public_key, "compute001")
        async with provider:
            order = await self.prepared(provider, order)
            with pytest.raises(self.no_room):
                await provider.launch(order)
            assert not await provider.find(cluster_id=cluster_id)
            await provider.cleanup(cluster_id)
