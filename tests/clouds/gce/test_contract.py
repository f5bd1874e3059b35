"""The provider contract on the test server."""

from __future__ import annotations

from pathlib import Path

import pytest

from aioelasticluster import GoogleCloudProvider, NodeSpec
from aioelasticluster.providers.base import AbstractCloudProvider, LaunchOrder
from aioelasticluster.testing.provider_contract import ProviderContract
from tests.clouds.gce.catalogue import IMAGE_ID
from tests.clouds.gce.running import GceEndpoint


class TestOnTheServer(ProviderContract):
    spec = NodeSpec(
        kind="compute",
        image_id=IMAGE_ID,
        image_user="ubuntu",
        flavor="e2-small",
        security_group="default",
    )

    @pytest.fixture(autouse=True)
    def on_server(self, gce: GceEndpoint, tmp_path: Path) -> None:
        self.gce = gce
        self.files = gce.write_credentials(tmp_path)
        gce.behave(stop_seconds=0.1)

    @property
    def secrets(self) -> tuple[str, ...]:  # type: ignore[override]
        return (self.gce.credentials()["first"]["private_key"],)

    def make(self, folder: Path) -> GoogleCloudProvider:
        provider = GoogleCloudProvider(
            self.gce.project,
            self.gce.zone,
            credentials=str(self.files.first),
            api_root=self.gce.api_root,
        )
        return self.quick(provider)

    def make_small(self, folder: Path, room: int) -> GoogleCloudProvider:
        self.gce.behave(capacity={"": room})
        return self.make(folder)

    def rebuild(self, provider: AbstractCloudProvider) -> GoogleCloudProvider:
        return self.quick(GoogleCloudProvider(**provider.settings()))

    async def test_an_order_that_is_carried_out_already_is_ours_by_its_labels(
        self, provider: GoogleCloudProvider, order: LaunchOrder
    ) -> None:
        ordered = await self.prepared(provider, order)
        first = await provider.launch(ordered)
        self.gce.behave(remembers=False)
        again = await provider.launch(ordered)

        assert [one.id for one in again.instances] == [
            one.id for one in first.instances
        ]
        assert [one.index for one in again.instances] == [0, 1]
        assert len(self.gce.requests("instances.bulkInsert")) == 2
        assert len(self.gce.instances()) == 2

    def quick(self, provider: GoogleCloudProvider) -> GoogleCloudProvider:
        provider.settle_window = 0.2
        provider.poll_pauses = provider.end_pauses = (0.1, 0.2)
        return provider
