"""What every cloud provider must do: a suite to subclass for an adapter of your own.

    class TestMyCloud(ProviderContract):
        def make(self, folder: Path) -> AbstractCloudProvider:
            return MyCloudProvider(...)

It launches, describes and ends real instances (at most three at once) through the
provider, never by looking behind it, and ends whatever a failed test has left.
"""

from __future__ import annotations

import json
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest

from aioelasticluster.errors import CapacityError, ConfigurationError
from aioelasticluster.model.records import NodeSpec
from aioelasticluster.model.tags import Tags
from aioelasticluster.providers.base import (
    AbstractCloudProvider,
    Instance,
    InstanceState,
    Launched,
    LaunchOrder,
    Preparation,
)
from aioelasticluster.testing.cancelling import WAYS, cancelled

S = InstanceState


class ProviderContract(ABC):
    """Tests of the promises of `AbstractCloudProvider`; subclasses say of which one."""

    #: A node that the cloud can launch, as small as there is.
    spec: ClassVar[NodeSpec] = NodeSpec(
        kind="compute",
        image_id="image",
        image_user="debian",
        flavor="small",
        security_group="default",
    )

    #: Options that the provider must refuse.
    bad_options: ClassVar[Mapping[str, Any]] = {"no_such_option": 1}

    #: What must appear neither in the settings nor in the identity.
    secrets: ClassVar[Sequence[str]] = ()

    #: Longest time (seconds) that an instance may take to run, or to vanish.
    patience: ClassVar[float] = 60.0

    @abstractmethod
    def make(self, folder: Path) -> AbstractCloudProvider:
        """Return a provider on a cloud in which nothing of ours is running."""

    def make_small(self, folder: Path, room: int) -> AbstractCloudProvider | None:
        """Return one on a cloud with room for so many instances, None: not possible."""
        return None

    def rebuild(self, provider: AbstractCloudProvider) -> AbstractCloudProvider:
        """Return another handle on the same cloud, built from the settings."""
        return type(provider)(**provider.settings())

    def user_data(self) -> str:
        """Return what the instances are given; every cloud takes cloud-config."""
        return "#cloud-config\n{}\n"

    # -- fixtures

    @pytest.fixture
    def anyio_backend(self) -> Any:
        """Run on asyncio, the one loop that the library knows."""
        return "asyncio"

    @pytest.fixture
    def cluster_id(self) -> str:
        """Return the id of a cluster of this test alone."""
        return uuid.uuid4().hex

    @pytest.fixture
    def closed_provider(self, tmp_path: Path) -> AbstractCloudProvider:
        """Return a provider that nobody has opened."""
        return self.make(tmp_path)

    @pytest.fixture
    async def provider(
        self, closed_provider: AbstractCloudProvider, cluster_id: str
    ) -> AsyncIterator[AbstractCloudProvider]:
        """Keep a provider open for the test, and end what the test has launched."""
        async with closed_provider:
            try:
                yield closed_provider
            finally:
                await self.end_all(closed_provider, cluster_id)

    @pytest.fixture
    def public_key(self) -> str:
        """Return a public key whose private half is forgotten."""
        import asyncssh

        key = asyncssh.generate_private_key("ssh-ed25519")
        return key.export_public_key().decode()

    @pytest.fixture
    def order(self, cluster_id: str, public_key: str) -> LaunchOrder:
        """Return an order of two nodes whose names are not in line."""
        return self.order_of(cluster_id, public_key, "compute001", "compute003")

    # -- steps

    def order_of(self, cluster_id: str, public_key: str, *names: str) -> LaunchOrder:
        """Return an order for nodes of these names."""
        token = uuid.uuid4().hex
        tags = Tags(
            cluster_id=cluster_id,
            cluster="contract",
            repository="memory-contract",
            owner="contract",
            token=token,
            kind=self.spec.kind,
            names=names,
            login=self.spec.image_user,
        )
        return LaunchOrder(
            token=token,
            spec=self.spec,
            tags=tags,
            user_data=self.user_data(),
            public_key=public_key,
        )

    async def prepared(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> LaunchOrder:
        """Prepare the order's cluster; return the order with what it needs."""
        resources = await provider.prepare(self.preparation(order))
        return replace(order, resources=resources)

    def preparation(self, order: LaunchOrder) -> Preparation:
        """Return what the order's cluster needs before its first launch."""
        return Preparation(
            cluster_id=order.tags.cluster_id,
            cluster=order.tags.cluster,
            key_name="contract",
            public_key=order.public_key,
            specs=[order.spec],
        )

    async def launched(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> Launched:
        """Prepare and launch an order, and wait until all of it is listed."""
        launched = await provider.launch(await self.prepared(provider, order))
        ids = [instance.id for instance in launched.instances]
        await self.until(provider, order, ids, lambda found: len(found) == len(ids))
        return launched

    async def until(
        self,
        provider: AbstractCloudProvider,
        order: LaunchOrder,
        ids: Sequence[str],
        fits: Callable[[Sequence[Instance]], bool],
    ) -> Sequence[Instance]:
        """Describe some instances until the answer fits, and return it."""
        with anyio.fail_after(self.patience):
            while True:
                described = await provider.describe(order.tags.cluster_id, ids)
                found = [instance for instance in described if instance.id in ids]
                if fits(found):
                    return found
                await anyio.sleep(provider.poll_pauses[0])

    async def all_in(
        self,
        provider: AbstractCloudProvider,
        order: LaunchOrder,
        ids: Sequence[str],
        state: InstanceState,
    ) -> None:
        """Wait until all of some instances are in a state."""

        def fits(found: Sequence[Instance]) -> bool:
            states = [instance.state for instance in found]
            return states == [state] * len(ids)

        await self.until(provider, order, ids, fits)

    async def end_all(self, provider: AbstractCloudProvider, cluster_id: str) -> None:
        """End all instances of a cluster and remove what was prepared for it."""
        await anyio.sleep(provider.settle_window)
        with anyio.fail_after(self.patience):
            while found := await provider.find(cluster_id=cluster_id):
                await provider.terminate([instance.id for instance in found])
                await anyio.sleep(provider.poll_pauses[0])
        await provider.cleanup(cluster_id)

    # -- launching

    async def test_instances_come_with_the_index_of_their_name(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        launched = await self.launched(provider, order)
        assert launched.refused is None
        assert sorted(instance.index for instance in launched.instances) == [0, 1]
        names = {instance.index: instance.name for instance in launched.instances}
        assert names == {0: "compute001", 1: "compute003"}

    async def test_launched_instances_come_to_run_and_have_an_address(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        launched = await self.launched(provider, order)
        ids = [instance.id for instance in launched.instances]
        await self.all_in(provider, order, ids, S.RUNNING)
        for instance in await provider.describe(order.tags.cluster_id, ids):
            assert instance.addresses
            assert instance.ssh_port > 0

    async def test_a_repeated_token_launches_nothing_new(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        self.needs(provider, "tokens")
        order = await self.prepared(provider, order)
        first = await provider.launch(order)
        again = await provider.launch(order)
        assert ids_of(again.instances) == ids_of(first.instances)

    async def test_repeats_at_the_same_time_launch_one_order(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
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
        order = await self.prepared(provider, order)
        await provider.find(token=order.token)
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
        provider = self.small(tmp_path, 2)
        names = ("compute001", "compute002", "compute003")
        order = self.order_of(cluster_id, public_key, *names)
        async with provider:
            try:
                launched = await self.launched(provider, order)
                assert isinstance(launched.refused, CapacityError)
                assert len(launched.instances) == 2
                if provider.capabilities.tokens:
                    again = await provider.launch(order)
                    assert ids_of(again.instances) == ids_of(launched.instances)
            finally:
                await self.end_all(provider, cluster_id)

    async def test_an_order_without_any_room_is_an_error(
        self, tmp_path: Path, cluster_id: str, public_key: str
    ) -> None:
        provider = self.small(tmp_path, 0)
        order = self.order_of(cluster_id, public_key, "compute001")
        async with provider:
            with pytest.raises(CapacityError):
                await provider.launch(order)
            assert not await provider.find(cluster_id=cluster_id)

    # -- listing

    async def test_tags_come_back_as_they_were_given(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
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
        launched = await self.launched(provider, order)
        ids = [instance.id for instance in launched.instances]
        other = uuid.uuid4().hex
        assert not await provider.find(token=other)
        assert not await provider.find(cluster_id=other)
        assert not await provider.describe(other, ids)

    async def test_without_a_filter_all_of_ours_are_found(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        launched = await self.launched(provider, order)
        assert ids_of(launched.instances) <= ids_of(await provider.find())

    async def test_another_handle_finds_the_same_instances(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        launched = await self.launched(provider, order)
        another = self.rebuild(provider)
        async with another:
            assert await another.identity() == await provider.identity()
            found = await another.find(token=order.token)
        assert ids_of(found) == ids_of(launched.instances)

    async def test_a_new_repository_is_written_into_the_tags(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        launched = await self.launched(provider, order)
        first = launched.instances[0]
        await provider.retag([first.id], repository="sqlite-other")
        found = await provider.find(cluster_id=order.tags.cluster_id)
        for instance in found:
            moved = instance.id == first.id
            repository = "sqlite-other" if moved else order.tags.repository
            assert instance.tags == replace(order.tags, repository=repository)

    # -- ending

    async def test_terminated_instances_vanish_from_the_list(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        launched = await self.launched(provider, order)
        gone, kept = (instance.id for instance in launched.instances)
        await provider.terminate([gone])
        await self.until(provider, order, [gone], lambda found: not found)
        cluster = order.tags.cluster_id
        assert ids_of(await provider.find(cluster_id=cluster)) == {kept}

    async def test_terminating_what_is_gone_or_unknown_is_success(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        launched = await self.launched(provider, order)
        ids = [instance.id for instance in launched.instances]
        await provider.terminate(ids)
        await provider.terminate(ids)
        await self.until(provider, order, ids, lambda found: not found)
        await provider.terminate(ids)

    async def test_terminating_nothing_is_success(
        self, provider: AbstractCloudProvider
    ) -> None:
        await provider.terminate([])

    # -- what is made around the instances

    async def test_preparing_twice_makes_the_same(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        preparation = self.preparation(order)
        first = await provider.prepare(preparation)
        assert await provider.prepare(preparation) == first

    async def test_cleaning_up_twice_or_nothing_is_success(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        await provider.cleanup(order.tags.cluster_id)
        await provider.prepare(self.preparation(order))
        await provider.cleanup(order.tags.cluster_id)
        await provider.cleanup(order.tags.cluster_id)

    # -- pausing

    async def test_a_paused_instance_can_be_resumed(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        self.needs(provider, "pause")
        launched = await self.launched(provider, order)
        ids = [instance.id for instance in launched.instances]
        await self.all_in(provider, order, ids, S.RUNNING)
        await provider.pause(ids)
        await self.all_in(provider, order, ids, S.PAUSED)
        await provider.resume(ids)
        await self.all_in(provider, order, ids, S.RUNNING)

    async def test_a_paused_instance_can_be_terminated(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        self.needs(provider, "pause")
        launched = await self.launched(provider, order)
        ids = [instance.id for instance in launched.instances]
        await self.all_in(provider, order, ids, S.RUNNING)
        await provider.pause(ids)
        await provider.terminate(ids)
        await self.until(provider, order, ids, lambda found: not found)

    # -- without the network

    def test_unknown_options_are_refused_by_name(
        self, closed_provider: AbstractCloudProvider
    ) -> None:
        closed_provider.check_options(self.spec)
        for name, value in self.bad_options.items():
            spec = replace(self.spec, options={**self.spec.options, name: value})
            with pytest.raises(ConfigurationError) as caught:
                closed_provider.check_options(spec)
            assert caught.value.field.rpartition(".")[2] == name
            assert caught.value.remedy

    def test_settings_are_plain_and_rebuild_the_same(
        self, closed_provider: AbstractCloudProvider
    ) -> None:
        settings = dict(closed_provider.settings())
        assert json.loads(json.dumps(settings)) == settings
        assert dict(self.rebuild(closed_provider).settings()) == settings

    async def test_neither_settings_nor_identity_hold_a_secret(
        self, provider: AbstractCloudProvider
    ) -> None:
        said = json.dumps(dict(provider.settings())) + await provider.identity()
        assert not [secret for secret in self.secrets if secret in said]
        assert await provider.identity() == await provider.identity()

    # -- opening

    async def test_it_may_be_opened_again_while_it_is_open(
        self, provider: AbstractCloudProvider
    ) -> None:
        async with provider.opened():
            async with provider.opened():
                await provider.find()
            await provider.find()
        assert not await provider.find(token=uuid.uuid4().hex)

    async def test_it_may_be_opened_again_after_it_was_closed(
        self, closed_provider: AbstractCloudProvider
    ) -> None:
        for _ in range(2):
            async with closed_provider.opened():
                assert not await closed_provider.find(token=uuid.uuid4().hex)

    # -- help

    def needs(self, provider: AbstractCloudProvider, capability: str) -> None:
        """Skip the test where the cloud does not claim a capability."""
        if not getattr(provider.capabilities, capability):
            pytest.skip(f"the cloud has no capability {capability!r}")

    def small(self, folder: Path, room: int) -> AbstractCloudProvider:
        """Return a provider on a small cloud, skip the test where there is none."""
        provider = self.make_small(folder, room)
        if provider is None:
            pytest.skip("the size of this cloud cannot be chosen")
        return provider


def ids_of(instances: Sequence[Instance]) -> frozenset[str]:
    """Return the ids of instances."""
    return frozenset(instance.id for instance in instances)
