"""What tests of several parts need: clusters on a fake cloud, a simple set-up."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aioelasticluster import Cluster
from aioelasticluster.model.capabilities import Requirements
from aioelasticluster.model.reports import HostReport, SetupReport
from aioelasticluster.providers.faults import FaultPlan
from aioelasticluster.repositories.base import AbstractClusterRepository
from aioelasticluster.repositories.memory import MemRepository
from aioelasticluster.setup.base import AbstractSetupProvider, SetupCluster
from aioelasticluster.testing.fake_cloud import (
    FakeCloud,
    FakeCloudProvider,
    FakeTransport,
)


class RecordingSetup(AbstractSetupProvider):
    """Sets up by remembering what it was asked; hosts in `failing` fail."""

    adapter = "recording"

    def __init__(self) -> None:
        self.runs: list[tuple[str, ...]] = []
        self.drained: list[str] = []
        self.failing: set[str] = set()

    def check(self, kinds: Collection[str]) -> Requirements:
        return Requirements()

    async def setup(
        self,
        cluster: SetupCluster,
        only: Collection[str] | None = None,
        extra_args: Sequence[str] = (),
    ) -> SetupReport:
        names = tuple(host.name for host in cluster.hosts) if only is None else only
        self.runs.append(tuple(names))
        return SetupReport(hosts={name: self._report(name) for name in names})

    def _report(self, name: str) -> HostReport:
        if name in self.failing:
            return HostReport(host=name, failed_task="assert", message="no")
        return HostReport(host=name, ok=1)

    async def before_removal(
        self, cluster: SetupCluster, leaving: Collection[str]
    ) -> None:
        self.drained += leaving

    def settings(self) -> Mapping[str, Any]:
        return {}


@dataclass
class World:
    """A fake cloud, a repository, and how to make programs that use them."""

    cloud: FakeCloud = field(default_factory=FakeCloud)
    repository: AbstractClusterRepository = field(default_factory=MemRepository)
    setup: RecordingSetup = field(default_factory=RecordingSetup)

    def provider(self, faults: FaultPlan | None = None, **kw: Any) -> FakeCloudProvider:
        return FakeCloudProvider(self.cloud, faults=faults, **kw)

    def cluster(
        self,
        computes: int = 3,
        *,
        name: str = "demo",
        provider: FakeCloudProvider | None = None,
        transport: FakeTransport | None = None,
        faults: FaultPlan | None = None,
        **kw: Any,
    ) -> Cluster:
        provider = provider or self.provider(faults)
        cluster = Cluster(
            name,
            provider,
            self.setup,
            "key",
            "unused.pub",
            "unused",
            repository=self.repository,
            transport=transport or FakeTransport(provider),
            **kw,
        )
        if computes:
            cluster.add_node("frontend", "image", "debian", "small", "default")
            cluster.add_nodes("compute", computes, "image", "debian", "big", "default")
        return cluster
