"""Where programs die on Compute Engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from aioelasticluster import Cluster, GoogleCloudProvider
from aioelasticluster.repositories.base import AbstractClusterRepository
from tests.clouds.gce.program import planned, quick_provider
from tests.clouds.gce.running import GceEndpoint
from tests.clouds.scenes import CloudScene


@dataclass
class GceScene(CloudScene):
    """One cluster's world on Compute Engine's test server."""

    endpoint: GceEndpoint = None  # type: ignore[assignment]  # always given
    program_module: ClassVar[str] = "tests.clouds.gce.program"

    def cloud(self) -> GoogleCloudProvider:
        return quick_provider(self.endpoint, self.folder, self.settle_window)

    def planned(self, repository: AbstractClusterRepository) -> Cluster:
        place = (self.endpoint, self.folder, self.computes)
        return planned(*place, self.cloud(), repository)
