"""The contract on moto: who wrote it knows nothing of us."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from aioelasticluster.model.records import NodeSpec
from aioelasticluster.providers.base import AbstractCloudProvider
from aioelasticluster.testing.provider_contract import ProviderContract
from tests.clouds.ec2.second_opinions import (
    MOTO_IMAGE,
    POLLING,
    MotoProvider,
    running_moto,
)

SECRET = "not-to-be-recorded"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with running_moto() as url:
        yield url


class TestOnMoto(ProviderContract):
    spec = NodeSpec(
        kind="compute",
        image_id=MOTO_IMAGE,
        image_user="debian",
        flavor="t3.micro",
        security_group="default",
    )
    secrets = (SECRET,)
    patience = 20.0

    @pytest.fixture(autouse=True)
    def on_moto(self, moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Come with keys of the test's own: no test waits for another's limits."""
        monkeypatch.setattr(POLLING, 0.1)
        self.url, self.access_key = moto, uuid.uuid4().hex

    def make(self, folder: Path) -> AbstractCloudProvider:
        return MotoProvider(self.url, "us-east-1", self.access_key, SECRET)

    def rebuild(self, provider: AbstractCloudProvider) -> AbstractCloudProvider:
        keys = {"access_key": self.access_key, "secret_key": SECRET}
        return MotoProvider(**{**provider.settings(), **keys})
