"""Where programs die on EC2, and how to look at what is left: the server decides."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import anyio

from aioelasticluster import Cluster
from aioelasticluster._aio.polling import backoff, poll
from tests.clouds.ec2.clusters import alive, made
from tests.clouds.ec2.program import SETTLE_WINDOW, Ec2Script, planned, quick_provider
from tests.clouds.ec2.running import Ec2Endpoint
from tests.crash.scene import PATIENCE, Scene


@dataclass
class Ec2Scene(Scene):
    """One cluster's world on a server with real hosts.

    `settle_window` is that of whoever comes after a crash.
    """

    computes: int = 3
    ec2: Ec2Endpoint = None  # type: ignore[assignment]  # always given
    settle_window: float = SETTLE_WINDOW
    program_module: ClassVar[str] = "tests.clouds.ec2.program"

    def script(self, verb: str, **changes: Any) -> Ec2Script:
        """Return a script for this scene."""
        script = Ec2Script(
            folder=str(self.folder),
            verb=verb,
            computes=self.computes,
            ec2=asdict(self.ec2),
        )
        return replace(script, **changes)

    def cluster(self) -> Cluster:
        """Return the handle that the same program would make if it ran again."""
        return planned(
            self.ec2,
            self.folder,
            self.computes,
            quick_provider(self.ec2, self.settle_window),
            self.repository(),
        )

    async def stored(self) -> Cluster:
        """Return the handle that another program gets from the repository."""
        provider = quick_provider(self.ec2, self.settle_window)
        return await self.repository().get("demo", cloud_provider=provider)

    async def carried_out(self, action: str) -> None:
        """Wait until the server has carried out a request; its answer is under way."""

        async def logged() -> bool | None:
            found = await anyio.to_thread.run_sync(self.ec2.requests, action)
            return bool(found) or None

        with anyio.fail_after(PATIENCE):
            await poll(logged, pauses=backoff(0.01, 0.02))

    async def killed_before_it_hears_of(self, action: str, script: Ec2Script) -> None:
        """Kill a program when the server has carried out a request of its."""
        self.ec2.forget_requests()
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
        assert {node.instance_id for node in nodes} == alive(self.ec2)
        results = await cluster.run("true", timeout=PATIENCE)
        assert all(result.ok for result in results.values()), results
        return cluster

    async def check_empty(self) -> None:
        """Assert that nothing is left: no instance, key pair, group or record."""
        left = alive(self.ec2), made(self.ec2)
        assert left == (set(), {}), left
        assert not await self.known()
