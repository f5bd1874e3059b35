"""Where programs die: a state folder, a database, and ways to look at what is left."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from aioelasticluster import Cluster, LocalCloudProvider, SqliteRepository
from aioelasticluster._aio.polling import backoff, poll
from aioelasticluster.model.records import ClusterRecord
from aioelasticluster.providers.base import Instance, InstanceState
from aioelasticluster.providers.faults import FaultPlan
from tests.crash.program import BEGUN, Script, planned
from tests.providers.local_cloud import processes_of

#: Within how many seconds after a crash all must be in order again: the promise.
PROMISE = 10.0

#: How long (seconds) a program may take to say something or to end.
PATIENCE = 30.0

_ROOT = Path(__file__).parents[2]


class Running:
    """A program under way, which is heard and ended."""

    def __init__(self, process: Process, errors: Path) -> None:
        self._process = process
        self._errors = errors
        assert process.stdout is not None
        self._words = BufferedByteReceiveStream(process.stdout)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def errors(self) -> str:
        """What it has written to standard error."""
        return self._errors.read_text()

    async def says(self, line: str) -> None:
        """Wait until it says this line; it fails if it says another one before."""
        with anyio.fail_after(PATIENCE):
            heard = await self._words.receive_until(b"\n", 1000)
        assert heard.decode() == line, self.errors

    async def killed(self) -> None:
        """Kill it as the power would, and see it gone; it may have ended before."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    def signalled(self, what: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(what)

    async def ended(self) -> int:
        """Wait for its end; return the exit status, negative if a signal ended it."""
        with anyio.fail_after(PATIENCE):
            return await self._process.wait()


@dataclass
class Scene:
    """One cluster's world on this machine; `folder` holds all of it."""

    folder: Path
    computes: int = 9
    program_module: ClassVar[str] = "tests.crash.program"

    @property
    def state(self) -> Path:
        """The local cloud's folder."""
        return self.folder / "state"

    @property
    def database(self) -> Path:
        """The repository's file."""
        return self.folder / "clusters.db"

    def provider(self, faults: FaultPlan | None = None) -> LocalCloudProvider:
        """Return the provider that a later program would make."""
        return LocalCloudProvider(self.state, faults=faults)

    def repository(self) -> SqliteRepository:
        """Return the repository that a later program would open."""
        return SqliteRepository(self.database)

    def cluster(self) -> Cluster:
        """Return the handle that the same program would make if it ran again."""
        return planned(self.folder, self.computes, self.provider(), self.repository())

    def script(self, verb: str, **changes: Any) -> Script:
        """Return a script for this scene."""
        script = Script(folder=str(self.folder), verb=verb, computes=self.computes)
        return replace(script, **changes)

    @asynccontextmanager
    async def program(self, script: Script) -> AsyncIterator[Running]:
        """Have a program run for the block; it has begun, and ends with the block."""
        errors = self.folder / "errors.txt"
        command = [sys.executable, "-m", self.program_module, script.encoded()]
        with errors.open("wb") as file:
            process = await anyio.open_process(
                command, cwd=_ROOT, stdin=None, stderr=file
            )
        async with process:
            running = Running(process, errors)
            try:
                await running.says(BEGUN)
                yield running
            finally:
                await running.killed()

    async def run(self, script: Script) -> int:
        """Run a program to its end; return how it ended."""
        async with self.program(script) as running:
            return await running.ended()

    async def struck(self, verb: str, point: str, **changes: Any) -> None:
        """Run a program that is killed at a point."""
        strikes = {point: "SIGKILL"}
        status = await self.run(self.script(verb, strikes=strikes, **changes))
        assert status == -signal.SIGKILL, (point, status, self.errors)

    @property
    def errors(self) -> str:
        """What the last program wrote to standard error."""
        return (self.folder / "errors.txt").read_text()

    # What is left

    async def instances(self) -> Sequence[Instance]:
        """Return what exists in the cloud and is not on its way out."""
        async with self.provider() as provider:
            found = await provider.find()
        return [i for i in found if i.state is not InstanceState.TERMINATING]

    async def known(self) -> bool:
        """Tell whether the repository knows the cluster."""
        repository = self.repository()
        async with repository.opened():
            return bool(await repository.load_all())

    async def record(self) -> ClusterRecord:
        """Return what the repository knows of the cluster."""
        repository = self.repository()
        async with repository.opened():
            return await repository.load("demo")

    async def recorded(self) -> Mapping[str, str]:
        """Return the recorded instance ids of the cluster's nodes, by name."""
        nodes = (await self.record()).nodes
        return {name: node.instance_id for name, node in nodes.items()}

    async def check_complete(self, computes: int | None = None) -> Cluster:
        """Assert that each node has one instance, reachable, and nobody else has any.

        Returns a handle on the cluster.
        """
        count = (self.computes if computes is None else computes) + 1
        cluster = await self.repository().get("demo")
        nodes = cluster.get_all_nodes()
        assert [node.name for node in nodes if not node.alive] == []
        assert len(nodes) == count
        existing = {i.name: i.id for i in await self.instances()}
        assert {node.name: node.instance_id for node in nodes} == existing
        results = await cluster.run("true", timeout=PROMISE)
        assert all(result.ok for result in results.values()), results
        return cluster

    async def check_empty(self) -> None:
        """Assert that nothing is left: no instance, process, key pair or record."""
        async with self.provider() as provider:
            assert await provider.find() == ()
        assert not await self.known()
        await self._deserted()
        assert not self.state.exists() or list(self.state.iterdir()) == []

    async def _deserted(self) -> None:
        """Wait until no process belongs to the state folder any more.

        A cloud that was started and never asked for anything waits a while for that.
        """

        async def nobody() -> bool | None:
            found = await anyio.to_thread.run_sync(processes_of, self.state)
            return None if found else True

        with anyio.fail_after(PROMISE):
            await poll(nobody, pauses=backoff(0.02, 0.2))

    async def end(self) -> None:
        """End whatever a failed test has left."""
        async with self.provider() as provider:
            with anyio.fail_after(PATIENCE):
                while found := await provider.find():
                    await provider.terminate([instance.id for instance in found])
                    await anyio.sleep(0.02)
