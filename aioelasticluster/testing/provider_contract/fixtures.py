"""What the promises of a provider are tested with: an adapter, orders, patience."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest

from aioelasticluster.errors import CapacityError, ProviderError
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

#: Why tests of what a cloud does not claim to have are skipped.
UNCLAIMED = "the cloud has no capability"


class ProviderFixtures(ABC):
    """Says which provider is tested, and takes the steps that many tests share."""

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

    #: What a cloud that was made small refuses with: it may be made so by a quota.
    no_room: ClassVar[type[ProviderError]] = CapacityError

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
        zone = order.zone or provider.zones(order.spec)[0]
        return replace(order, resources=resources, zone=zone)

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
                await anyio.sleep(provider.end_pauses[0])
        await provider.cleanup(cluster_id)

    # -- what not every cloud has

    def needs(self, provider: AbstractCloudProvider, capability: str) -> None:
        """Skip the test where the cloud does not claim a capability."""
        if not getattr(provider.capabilities, capability):
            pytest.skip(f"{UNCLAIMED} {capability!r}")

    def small(self, folder: Path, room: int) -> AbstractCloudProvider:
        """Return a provider on a small cloud, skip the test where there is none."""
        provider = self.make_small(folder, room)
        if provider is None:
            pytest.skip(f"{UNCLAIMED} to choose its size")
        return provider


def ids_of(instances: Sequence[Instance]) -> frozenset[str]:
    """Return the ids of instances."""
    return frozenset(instance.id for instance in instances)
