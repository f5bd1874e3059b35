"""The provider contract on the real services."""

from __future__ import annotations

from pathlib import Path

import pytest

from aioelasticluster import NodeSpec, OpenStackCloudProvider, QuotaError
from aioelasticluster.providers.base import AbstractCloudProvider
from aioelasticluster.testing.provider_contract import ProviderContract
from tests.clouds.openstack.rig import OpenStackRig
from tests.clouds.openstack.sharing import MARKS

pytestmark = MARKS


class TestOnTheServices(ProviderContract):
    spec = NodeSpec(
        kind="compute",
        image_id=OpenStackRig.image,
        image_user=OpenStackRig.login,
        flavor=OpenStackRig.flavor,
        security_group="default",
    )
    secrets = ("password",)
    no_room = QuotaError  # its hosts have room for more than can be tried

    @pytest.fixture(autouse=True)
    def on_rig(self, rig: OpenStackRig) -> None:
        self.rig = rig

    def make(self, folder: Path) -> OpenStackCloudProvider:
        auth = self.rig.demo["auth"]
        provider = OpenStackCloudProvider(**auth, region_name=self.rig.region)
        provider.settle_window = 0.2
        provider.poll_pauses = provider.end_pauses = (0.2, 0.5)
        return provider

    def make_small(self, folder: Path, room: int) -> OpenStackCloudProvider:
        self.rig.set_quota("demo", instances=room)
        return self.make(folder)

    def rebuild(self, provider: AbstractCloudProvider) -> OpenStackCloudProvider:
        password = self.rig.demo["auth"]["password"]
        return OpenStackCloudProvider(password=password, **provider.settings())
