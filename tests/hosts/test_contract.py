"""The provider contract on dockerd and on Podman's API service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from aioelasticluster import ContainerCloudProvider
from aioelasticluster.testing.provider_contract import ProviderContract
from tests.hosts.clusters import provider_for
from tests.hosts.fixtures import left_as_found
from tests.hosts.running import RunningEngine
from tests.hosts.sharing import MARKS

pytestmark = MARKS


class _OnAnEngine(ProviderContract):
    bad_options: ClassVar = {"no_such_option": 1, "memory": "much", "volumes": "home"}

    engine: RunningEngine

    def make(self, folder: Path) -> ContainerCloudProvider:
        return provider_for(self.engine.url)


class TestOnDocker(_OnAnEngine):
    @pytest.fixture(autouse=True)
    def on_engine(self, docker: RunningEngine) -> Iterator[None]:
        self.engine = docker
        for _ in left_as_found(docker):
            yield


class TestOnPodman(_OnAnEngine):
    @pytest.fixture(autouse=True)
    def on_engine(self, podman: RunningEngine) -> Iterator[None]:
        self.engine = podman
        for _ in left_as_found(podman):
            yield
