"""The contract on ministack, which is fast and refuses hardly anything."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from aioelasticluster import BotoCloudProvider
from aioelasticluster.errors import InvalidRequestError
from aioelasticluster.model.records import NodeSpec
from aioelasticluster.providers.base import AbstractCloudProvider, LaunchOrder
from aioelasticluster.testing.provider_contract import ProviderContract
from tests.clouds.ec2.one_cluster import OneCluster
from tests.clouds.ec2.second_opinions import (
    MINISTACK_IMAGE,
    POLLING,
    CannotInstallError,
    MinistackProvider,
    running_ministack,
)

pytestmark = [pytest.mark.ministack, pytest.mark.timeout(360)]

SECRET = "not-to-be-recorded"


@pytest.fixture(scope="module")
def ministack() -> Iterator[str]:
    try:
        with running_ministack() as url:
            yield url
    except CannotInstallError as error:
        pytest.skip(str(error))


def new_account() -> str:
    """Return a key that is an account of its own, as any twelve digits are."""
    return str(random.randrange(10**11, 10**12))


class TestOnMinistack(ProviderContract):
    spec = NodeSpec(
        kind="compute",
        image_id=MINISTACK_IMAGE,
        image_user="debian",
        flavor="t3.micro",
        security_group="default",
    )
    secrets = (SECRET,)
    patience = 20.0

    @pytest.fixture(autouse=True)
    def on_ministack(self, ministack: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(POLLING, 0.1)
        self.url, self.access_key = ministack, new_account()

    def make(self, folder: Path) -> AbstractCloudProvider:
        return MinistackProvider(self.url, "us-east-1", self.access_key, SECRET)

    def rebuild(self, provider: AbstractCloudProvider) -> AbstractCloudProvider:
        keys = {"access_key": self.access_key, "secret_key": SECRET}
        return MinistackProvider(**{**provider.settings(), **keys})

    @pytest.mark.xfail(
        raises=InvalidRequestError,
        reason="ministack makes fingerprints of keys up, and does not show the keys",
    )
    async def test_preparing_twice_makes_the_same(
        self, provider: AbstractCloudProvider, order: LaunchOrder
    ) -> None:
        await super().test_preparing_twice_makes_the_same(provider, order)


# What moto cannot


@pytest.fixture
async def cluster(ministack: str) -> AsyncIterator[OneCluster]:
    cluster = OneCluster(
        ministack, MinistackProvider, MINISTACK_IMAGE, access_key=new_account()
    )
    async with cluster.provider:
        yield cluster
    cluster.look.close()


async def test_a_placement_group_is_made_and_found_again(cluster: OneCluster) -> None:
    found = await cluster.prepare(placement_group="near")
    name = found["placement-group:near"]
    assert name == f"near-{cluster.short}"
    (group,) = cluster.look.describe_placement_groups()["PlacementGroups"]
    assert (group["GroupName"], group["Strategy"]) == (name, "cluster")


async def test_hundreds_of_instances_are_listed_and_ended(cluster: OneCluster) -> None:
    """Its reply about all of them is large, and parsed in a thread."""
    names = [f"compute{index:03d}" for index in range(1, 301)]
    batches = [names[:100], names[100:200], names[200:]]
    there = await cluster.prepare()
    launched = [await cluster.launch(*batch, resources=there) for batch in batches]
    found = await cluster.provider.find(cluster_id=cluster.cluster_id)
    assert sorted(instance.name for instance in found) == names
    assert {i.id for i in found} == {i.id for batch in launched for i in batch}
    await cluster.provider.terminate([instance.id for instance in found])
    assert not await cluster.provider.find(cluster_id=cluster.cluster_id)


async def test_a_program_like_the_overview_s_launches_and_stops(
    cluster: OneCluster, tmp_path: Path
) -> None:
    """The region is called as on OpenStack; one node, for the key is another's then."""
    provider = BotoCloudProvider(cluster.url, "nova", cluster.access_key, "secret_key")
    sample = cluster.like_the_overview_s(provider, tmp_path)
    frontend, *_ = sample.nodes["frontend"]
    await frontend.start()
    assert frontend.instance_id.startswith("i-")
    await sample.stop(timeout=10)
    async with provider:
        assert not await provider.find()
