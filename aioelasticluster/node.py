"""The handle on one node that users hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioelasticluster.engine import members
from aioelasticluster.engine.handle import Handle
from aioelasticluster.errors import ClusterBusyError, SshError, UnreachableError
from aioelasticluster.model.records import NodeRecord
from aioelasticluster.model.reports import RunResult
from aioelasticluster.model.states import UP, NodeState

if TYPE_CHECKING:
    import asyncssh


class Node:
    """One node of a cluster; a thin handle on what the cluster's record says."""

    def __init__(self, handle: Handle, name: str) -> None:
        self._handle = handle
        self._name = name

    @property
    def name(self) -> str:
        """The node's name, unique in its cluster, such as `compute001`."""
        return self._name

    @property
    def record(self) -> NodeRecord:
        """All that is known of the node; raises `NodeNotFoundError` once removed."""
        return self._handle.journal.node(self._name)

    @property
    def kind(self) -> str:
        """The node's kind, such as `compute`."""
        return self.record.kind

    @property
    def state(self) -> NodeState:
        """Where the node is, as far as is known."""
        return self.record.state

    @property
    def alive(self) -> bool:
        """Whether the node has answered SSH since it booted; `is_alive` asks now."""
        return self.record.state in UP

    @property
    def instance_id(self) -> str:
        """The cloud's id of its instance, empty if it has none."""
        return self.record.instance_id

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its addresses, the one that answered first."""
        return self.record.addresses

    async def start(self) -> None:
        """Launch the node; return once the cloud took the order.

        Whether it is alive tells `is_alive`. A node that has an instance already is
        left as it is. Raises `ProviderError`, `ConfigurationError`,
        `ClusterBusyError`. A cancellation waits until the instance is recorded.
        """
        handle = self._handle
        async with handle.operation(f"start of {self.name}") as op:
            await handle.check_plan()
            handle.begin()
            await members.launch_one(op, self.name)

    async def stop(self) -> None:
        """Terminate the node's instance and wait until the cloud confirms.

        Raises `StopTimeoutError` and `ProviderError`; a cancelled stop may have
        happened.
        """
        async with self._handle.operation(f"stop of {self.name}") as op:
            await members.end_one(op, self.name, then=NodeState.TERMINATED)

    async def is_alive(self) -> bool:
        """Ask now whether the node answers SSH with its expected host key.

        A node that boots becomes alive by the first positive answer. Takes at most the
        probe's own timeouts, and what the cloud takes to describe a booting one.
        Raises `ProviderError`.
        """
        handle = self._handle
        try:
            async with handle.on_record() as op:
                return await members.ask_one(op, self.name)
        except ClusterBusyError:
            return await self._answers()

    async def _answers(self) -> bool:
        """Probe without recording: another process has the lease."""
        if not self.addresses:
            return False
        async with self._handle.reading():
            try:
                await self._handle.transport.probe(
                    self._handle.view().target(self.record)
                )
            except SshError:
                return False
            return True

    async def connect(self) -> asyncssh.SSHClientConnection:
        """Return an authenticated connection to the node; the caller closes it.

        Raises `UnreachableError`, `AuthenticationError`, `HostKeyError`.
        """
        if not self.addresses:
            raise UnreachableError(f"{self.name} has no address: it is {self.state}")
        transport = self._handle.transport
        async with transport.opened():
            return await transport.connect(self._handle.view().target(self.record))

    async def run(
        self, command: str, *, timeout: float | None = None, stdin: str = ""
    ) -> RunResult:
        """Run a shell command; a node that cannot be reached is a value in the result.

        Timeout is in seconds.
        """
        if not self.addresses:
            error = f"no address: the node is {self.state}"
            return RunResult(node=self.name, command=command, error=error)
        target = self._handle.view().target(self.record)
        transport = self._handle.transport
        async with transport.opened():
            return await transport.run(target, command, timeout=timeout, stdin=stdin)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Node):
            return NotImplemented
        return self._handle is other._handle and self._name == other._name

    def __hash__(self) -> int:
        return hash((id(self._handle), self._name))

    def __repr__(self) -> str:
        record = self.record
        where = f" {record.instance_id} {' '.join(record.addresses)}".rstrip()
        return f"<Node {self.name} {record.state}{where}>"
