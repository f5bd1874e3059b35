"""Where programs die on OpenStack, and how to look at what is left: Nova decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import anyio

from aioelasticluster import Cluster
from aioelasticluster._aio.polling import backoff, poll
from tests.clouds.openstack.clusters import access, alive, made
from tests.clouds.openstack.program import OpenStackScript, planned, quick_provider
from tests.clouds.openstack.rig import OpenStackRig
from tests.crash.scene import PATIENCE, Scene


@dataclass
class OpenStackScene(Scene):
    """One cluster's world on the real services.

    `wishes` are its nodes' options; `yours` is what the user has beside it.
    """

    computes: int = 2
    rig: OpenStackRig = None  # type: ignore[assignment]  # always given
    wishes: Mapping[str, Any] = field(default_factory=dict)
    yours: Mapping[str, list[str]] = field(default_factory=dict)
    program_module: ClassVar[str] = "tests.clouds.openstack.program"

    def script(self, verb: str, **changes: Any) -> OpenStackScript:
        """Return a script for this scene."""
        script = OpenStackScript(
            folder=str(self.folder),
            verb=verb,
            computes=self.computes,
            access=access(self.rig),
            wishes=self.wishes,
        )
        return replace(script, **changes)

    def cluster(self) -> Cluster:
        """Return the handle that the same program would make if it ran again."""
        return planned(
            self.folder,
            self.computes,
            quick_provider(access(self.rig)),
            self.repository(),
            self.wishes,
        )

    async def stored(self) -> Cluster:
        """Return the handle that another program gets from the repository."""
        provider = quick_provider(access(self.rig))
        return await self.repository().get("demo", cloud_provider=provider)

    async def answered(self, method: str, path: str) -> None:
        """Wait until Nova has answered a request; a proxy may hold the answer back."""

        async def logged() -> bool | None:
            found = await anyio.to_thread.run_sync(self.rig.requests, "nova", method)
            return any(one["path"].endswith(path) for one in found) or None

        with anyio.fail_after(PATIENCE):
            await poll(logged, pauses=backoff(0.01, 0.02))

    # What is left

    async def check_complete(self, computes: int | None = None) -> Cluster:
        """Assert that each node has one server, reachable, and nobody else has any.

        Returns a handle on the cluster.
        """
        cluster = await self.stored()
        nodes = cluster.get_all_nodes()
        assert len(nodes) == (self.computes if computes is None else computes)
        assert [node.name for node in nodes if not node.alive] == []
        assert {node.instance_id for node in nodes} == alive(self.rig)
        results = await cluster.run("true", timeout=PATIENCE)
        assert all(result.ok for result in results.values()), results
        return cluster

    async def check_empty(self) -> None:
        """Assert that nothing is left of ours, and all that is the user's own."""
        assert alive(self.rig) == set()
        assert made(self.rig) == dict(self.yours)
        assert not await self.known()
