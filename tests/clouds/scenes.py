"""Where programs die on a test cloud: its server says what is left."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import anyio

from aioelasticluster import Cluster
from aioelasticluster._aio.polling import backoff, poll
from aioelasticluster.providers.base import AbstractCloudProvider
from aioelasticluster.repositories.base import AbstractClusterRepository
from tests.clouds.dying import SETTLE_WINDOW, CloudScript
from tests.clouds.endpoint import Endpoint
from tests.crash.scene import PATIENCE, Scene


@dataclass
class CloudScene(Scene, ABC):
    """One cluster's world on a server with real hosts.

    `settle_window` is that of whoever comes after a crash.
    """

    computes: int = 3
    endpoint: Endpoint = None  # type: ignore[assignment]  # always given
    settle_window: float = SETTLE_WINDOW

    @abstractmethod
    def cloud(self) -> AbstractCloudProvider:
        """Return the provider of whoever comes after a crash."""

    @abstractmethod
    def planned(self, repository: AbstractClusterRepository) -> Cluster:
        """Return a fresh handle on the cluster, with that provider."""

    def script(self, verb: str, **changes: Any) -> CloudScript:
        """Return a script for this scene."""
        script = CloudScript(
            folder=str(self.folder),
            verb=verb,
            computes=self.computes,
            endpoint=self.endpoint.told(),
        )
        return replace(script, **changes)

    def cluster(self) -> Cluster:
        """Return the handle that the same program would make if it ran again."""
        return self.planned(self.repository())

    async def stored(self) -> Cluster:
        """Return the handle that another program gets from the repository."""
        return await self.repository().get("demo", cloud_provider=self.cloud())

    async def killed_before_it_hears_of_its_launch(self, script: CloudScript) -> None:
        """Kill a program when the server has carried out its launch.

        The answer is under way then.
        """
        self.endpoint.forget_requests()
        async with self.program(script) as program:
            await self._launched()
            await program.killed()

    async def _launched(self) -> None:
        async def logged() -> bool | None:
            return bool(await anyio.to_thread.run_sync(self.endpoint.launches)) or None

        with anyio.fail_after(PATIENCE):
            await poll(logged, pauses=backoff(0.01, 0.02))

    # What is left

    async def check_complete(self, computes: int | None = None) -> Cluster:
        """Assert that each node has one instance, reachable, and nobody else has any.

        Returns a handle on the cluster.
        """
        cluster = await self.stored()
        nodes = cluster.get_all_nodes()
        assert len(nodes) == (self.computes if computes is None else computes)
        assert [node.name for node in nodes if not node.alive] == []
        assert {node.instance_id for node in nodes} == self.endpoint.alive()
        results = await cluster.run("true", timeout=PATIENCE)
        assert all(result.ok for result in results.values()), results
        return cluster

    async def check_empty(self) -> None:
        """Assert that nothing is left: no instance, nothing made for it, no record."""
        left = self.endpoint.alive(), self.endpoint.made()
        assert left == (set(), {}), left
        assert not await self.known()
