"""Where programs die on EC2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from aioelasticluster import BotoCloudProvider, Cluster
from aioelasticluster.repositories.base import AbstractClusterRepository
from tests.clouds.ec2.program import planned, quick_provider
from tests.clouds.ec2.running import Ec2Endpoint
from tests.clouds.scenes import CloudScene


@dataclass
class Ec2Scene(CloudScene):
    """One cluster's world on EC2's test server."""

    endpoint: Ec2Endpoint = None  # type: ignore[assignment]  # always given
    program_module: ClassVar[str] = "tests.clouds.ec2.program"

    def cloud(self) -> BotoCloudProvider:
        return quick_provider(self.endpoint, self.settle_window)

    def planned(self, repository: AbstractClusterRepository) -> Cluster:
        place = (self.endpoint, self.folder, self.computes)
        return planned(*place, self.cloud(), repository)
