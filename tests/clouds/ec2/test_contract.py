"""The provider contract on the strict test server."""

from __future__ import annotations

from pathlib import Path

import pytest

from aioelasticluster import BotoCloudProvider, NodeSpec
from aioelasticluster.providers.base import AbstractCloudProvider
from aioelasticluster.testing.provider_contract import ProviderContract
from tests.clouds.ec2.running import Ec2Endpoint


class TestOnTheServer(ProviderContract):
    spec = NodeSpec(
        kind="compute",
        image_id="ami-0debd12a0000000a1",
        image_user="debian",
        flavor="c5.large",
        security_group="default",
    )

    @pytest.fixture(autouse=True)
    def endpoint(self, ec2: Ec2Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ec2 = ec2
        monkeypatch.setattr(
            "aioelasticluster.providers.ec2.provider.POLL_INTERVAL", 0.1
        )
        ec2.behave(stop_seconds=0.1, console_seconds=0.1)

    @property
    def secrets(self) -> tuple[str, ...]:  # type: ignore[override]
        return (self.ec2.secret_key,)

    def make(self, folder: Path) -> BotoCloudProvider:
        provider = BotoCloudProvider(
            self.ec2.url, self.ec2.region, self.ec2.access_key, self.ec2.secret_key
        )
        provider.settle_window = 0.2
        provider.poll_pauses = provider.end_pauses = (0.1, 0.2)
        return provider

    def make_small(self, folder: Path, room: int) -> BotoCloudProvider:
        self.ec2.behave(capacity={"": room})
        return self.make(folder)

    def rebuild(self, provider: AbstractCloudProvider) -> BotoCloudProvider:
        return BotoCloudProvider(
            access_key=self.ec2.access_key,
            secret_key=self.ec2.secret_key,
            **provider.settings(),
        )
