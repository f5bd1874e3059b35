"""Where programs die on Compute Engine: the server says what is left."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import anyio

from aioelasticluster import Cluster, GoogleCloudProvider
from aioelasticluster._aio.polling import backoff, poll
from tests.clouds.gce.clusters import alive, made
from tests.clouds.gce.program import SETTLE_WINDOW, GceScript, planned, quick_provider
from tests.clouds.gce.running import GceEndpoint
from tests.crash.scene import PATIENCE, Scene


@dataclass
class GceScene(Scene):
    """One cluster's world on a server with real hosts.

    `settle_window` is that of whoever comes after a crash.
    """

    computes: int = 3
    gce: GceEndpoint = None  # type: ignore[assignment]  # always given
    settle_window: float = SETTLE_WINDOW
    program_module: ClassVar[str] = "tests.clouds.gce.program"

    def script(self, verb: str, **changes: Any) -> GceScript:
        """Return a script for this scene."""
        script = GceScript(
            folder=str(self.folder),
            verb=verb,
            computes=self.computes,
            gce=asdict(self.gce),
        )
        return replace(script, **changes)

    def cloud(self) -> GoogleCloudProvider:
        """Return the provider of whoever comes after a crash."""
        return quick_provider(self.gce, self.folder, self.settle_window)

    def cluster(self) -> Cluster:
        """Return the handle that the same program would make if it ran again."""
        cloud, repository = self.cloud(), self.repository()
        return planned(self.gce, self.folder, self.computes, cloud, repository)

    async def stored(self) -> Cluster:
        """Return the handle that another program gets from the repository."""
        return await self.repository().get("demo", cloud_provider=self.cloud())

    async def carried_out(self, action: str) -> None:
        """Wait until the server has carried out a request; its answer is under way."""

        async def logged() -> bool | None:
            found = await anyio.to_thread.run_sync(self.gce.requests, action)
            return bool(found) or None

        with anyio.fail_after(PATIENCE):
            await poll(logged, pauses=backoff(0.01, 0.02))

    async def killed_before_it_hears_of(self, action: str, script: GceScript) -> None:
        """Kill a program when the server has carried out a request of its."""
        self.gce.forget_requests()
        async with self.program(script) as program:
            await self.carried_out(action)
            await program.killed()

    # What is left

    async def check_complete(self, computes: int | None = None) -> Cluster:
        """Assert that each node has one instance, reachable, and nobody else has any.

        Returns a handle on the cluster.
        """
        cluster = await self.stored()
        nodes = cluster.get_all_nodes()
        assert len(nodes) == (self.computes if computes is None else computes)
        assert [node.name for node in nodes if not node.alive] == []
        assert {node.instance_id for node in nodes} == alive(self.gce)
        results = await cluster.run("true", timeout=PATIENCE)
        assert all(result.ok for result in results.values()), results
        return cluster

    async def check_empty(self) -> None:
        """Assert that nothing is left: no instance, disk, firewall rule or record."""
        left = alive(self.gce), made(self.gce)
        assert left == (set(), {}), left
        assert not await self.known()
