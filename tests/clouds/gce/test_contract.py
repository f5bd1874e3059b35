"""The provider contract on the test server."""

from __future__ import annotations

from pathlib import Path

import pytest

from aioelasticluster import GoogleCloudProvider, NodeSpec
from aioelasticluster.providers.base import AbstractCloudProvider
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

    def quick(self, provider: GoogleCloudProvider) -> GoogleCloudProvider:
        provider.settle_window = 0.2
        provider.poll_pauses = provider.end_pauses = (0.1, 0.2)
        return provider
