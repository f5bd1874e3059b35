"""All cloud providers keep the same promises."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aioelasticluster.providers.base import AbstractCloudProvider
from aioelasticluster.providers.faults import FaultPlan
from aioelasticluster.providers.local import LocalCloudProvider
from aioelasticluster.testing.fake_cloud import FakeCloudProvider
from aioelasticluster.testing.provider_contract import ProviderContract
from aioelasticluster.testing.virtual_time import VirtualTimeLoop
from tests.providers.local_cloud import left_behind


class TestLocalCloudProvider(ProviderContract):
    patience = 20.0

    @pytest.fixture(autouse=True)
    def nothing_is_left(self, tmp_path: Path) -> Iterator[None]:
        yield
        left_behind(tmp_path / "state")

    def make(self, folder: Path) -> AbstractCloudProvider:
        return quick(LocalCloudProvider(folder / "state"))

    def make_small(self, folder: Path, room: int) -> AbstractCloudProvider:
        faults = FaultPlan(capacity=room)
        return quick(LocalCloudProvider(folder / "state", faults=faults))


def quick(provider: LocalCloudProvider) -> LocalCloudProvider:
    """Have no settle window: this cloud lists at once what it launched."""
    provider.settle_window = 0.0
    return provider


class TestFakeCloudProvider(ProviderContract):
    @pytest.fixture
    def anyio_backend(self) -> Any:
        return "asyncio", {"loop_factory": VirtualTimeLoop}

    def make(self, folder: Path) -> AbstractCloudProvider:
        return FakeCloudProvider()

    def make_small(self, folder: Path, room: int) -> AbstractCloudProvider:
        return FakeCloudProvider(faults=FaultPlan(capacity=room))

    def rebuild(self, provider: AbstractCloudProvider) -> AbstractCloudProvider:
        assert isinstance(provider, FakeCloudProvider)
        return FakeCloudProvider(provider.cloud)
