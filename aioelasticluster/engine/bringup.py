"""From planned (or booting) to alive, all nodes at once, until enough or too late."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

import anyio
from anyio.abc import TaskGroup

from aioelasticluster._aio.polling import backoff
from aioelasticluster._aio.tasks import begin, task_group
from aioelasticluster._log import log
from aioelasticluster.engine.launch import Launch, adopt, is_up
from aioelasticluster.engine.operation import Operation
from aioelasticluster.engine.orders import Batch
from aioelasticluster.errors import CapacityError, ProviderError, SshError
from aioelasticluster.model.events import HostKeyKept, HostKeyRotated
from aioelasticluster.model.records import NodeRecord
from aioelasticluster.model.reports import NodeFault
from aioelasticluster.model.states import UP, NodeState
from aioelasticluster.providers.base import Instance, InstanceState
from aioelasticluster.ssh.base import HostKeyPolicy, Reached
from aioelasticluster.ssh.host_keys import fingerprint

#: Pauses (seconds) between two probes of one node: the first, and the longest.
PROBE_PAUSES = (0.1, 2.0)

#: How many times in a row an instance that was listed is missing until it is gone.
GONE_AFTER = 3

#: Every how many polls those that run already, but are not proven yet, are asked about.
RECHECK = 5

_UNDER_WAY = frozenset({NodeState.LAUNCHING, NodeState.BOOTING})


@dataclass(kw_only=True)
class Bringup:
    """Brings nodes up for one operation and keeps score.

    `names` are the nodes to wait for, `to_launch` those of them that have no
    instance; `minimum` is how many of each kind must come up. `faults` are those that
    never will, `latest` is the last trouble of the others, `probed` are those whose
    instance runs.
    """

    op: Operation
    names: tuple[str, ...]
    to_launch: tuple[str, ...]
    minimum: Mapping[str, int]
    faults: dict[str, NodeFault] = field(default_factory=dict)
    latest: dict[str, NodeFault] = field(default_factory=dict)
    probed: set[str] = field(default_factory=set)
    unrotated: dict[str, str] = field(default_factory=dict)
    fatal: ProviderError | None = None

    def __post_init__(self) -> None:
        self.launch = Launch(op=self.op, failed=self._refused)
        self._unsent = frozenset(self.to_launch)
        self._undecided = set(self.names)
        self._listed: dict[str, int] = {}

    async def run(self, *, deadline: float) -> None:
        """Launch what is planned and return when all is decided, or at the deadline.

        Deadline is loop time. The outcome can be read from the nodes; a
        `ProviderError` that ends the whole operation is kept as `fatal`.
        """
        async with self.op.transport.opened(), task_group() as group:
            self._scope = group.cancel_scope
            self._scope.deadline = deadline
            group.start_soon(self._launch_planned)
            group.start_soon(self._follow_booting, group)

    def pending(self) -> tuple[NodeRecord, ...]:
        """Return the nodes that may still come up."""
        nodes = (self.op.journal.nodes[name] for name in self.names)
        return tuple(
            node
            for node in nodes
            if node.state in _UNDER_WAY or node.name in self._unsent
        )

    def short(self, hopeful: Iterable[NodeRecord] = ()) -> dict[str, int]:
        """Return how many nodes of each kind are missing, if the hopeful come up."""
        up = (node for node in self.op.journal.nodes.values() if node.state in UP)
        have = Counter(node.kind for node in (*up, *hopeful))
        return {
            kind: least - have[kind]
            for kind, least in self.minimum.items()
            if have[kind] < least
        }

    # Launching

    async def _launch_planned(self) -> None:
        nodes = [self.op.journal.nodes[name] for name in self.to_launch]
        if nodes:
            try:
                await self.op.journal.flush()  # what prepare makes has a record
                await self.launch.prepare(nodes)
                batches = await self.launch.intend(nodes)
                self._unsent = frozenset()
                await self.launch.send(batches)
            except ProviderError as error:
                self._end(error)
        self._judge()

    def _end(self, error: ProviderError) -> None:
        """Give up: this error is every node's."""
        self.fatal = self.fatal or error
        self._scope.cancel()

    def _refused(self, name: str, error: ProviderError) -> None:
        self._fail(name, "launch", error)

    def _fail(self, name: str, step: str, error: Exception) -> None:
        self.faults[name] = NodeFault(
            node=name, step=step, message=str(error), error=error
        )
        self._undecided.discard(name)
        self._judge()

    def _judge(self) -> None:
        """Stop waiting when nothing is left to wait for, or it cannot be enough."""
        if self._scope.cancel_called:
            return
        pending = self.pending()
        if not pending or self.short(pending):
            self._scope.cancel()

    # Following

    async def _follow_booting(self, group: TaskGroup) -> None:
        """Ask the cloud about all booting nodes at once; probe those that run."""
        pauses, followed = backoff(*self.op.provider.poll_pauses), 0
        ours = frozenset(self.names)
        for polls in count():
            booting = self.op.journal.in_state(NodeState.BOOTING)
            awaited = [node for node in booting if node.name in ours]
            if len(awaited) > followed:
                pauses = backoff(*self.op.provider.poll_pauses)
            followed = len(awaited)
            if polls % RECHECK:
                awaited = [n for n in awaited if n.name not in self.probed]
            if awaited:
                try:
                    await self._ask_about(awaited, group)
                except ProviderError as error:
                    if not error.retryable:
                        return self._end(error)
            self._judge()  # others may have brought them up
            await anyio.sleep(next(pauses))

    async def _ask_about(self, awaited: list[NodeRecord], group: TaskGroup) -> None:
        ids = frozenset(node.instance_id for node in awaited)
        instances = await self.op.ask(
            "describe", lambda: self.op.provider.describe(self.op.cluster_id, ids)
        )
        described = {instance.id: instance for instance in instances}
        moving: dict[tuple[str, str], list[NodeRecord]] = {}
        proofs: list[Callable[[], Coroutine[Any, Any, None]]] = []
        for node in awaited:
            instance = described.get(node.instance_id)
            if instance is None:
                self._missed(node.name)
                continue
            self._listed[node.name] = 0
            if instance.state is InstanceState.FAILED:
                place = self._place_instead(node, instance.fault)
                if place is None:
                    self._broken(node.name, instance.fault)
                else:
                    moving.setdefault((node.token, place), []).append(node)
            elif is_up(instance) and node.name not in self.probed:
                self.probed.add(node.name)
                proofs.append(partial(self._prove, node.name, instance))

        for (_, place), nodes in moving.items():
            self._move_to(place, nodes, group)
        await begin(group, proofs)

    def _place_instead(
        self, node: NodeRecord, fault: ProviderError | None
    ) -> str | None:
        """Return where to launch a node again that found no room after all."""
        if not isinstance(fault, CapacityError):
            return None
        return self.launch.place_after(node)

    def _move_to(self, place: str, nodes: list[NodeRecord], group: TaskGroup) -> None:
        """Launch nodes anew in another place, and end what failed in the last one."""
        for node in nodes:
            self._listed.pop(node.name, None)
            self.probed.discard(node.name)
            self.op.journal.move(node.name, NodeState.FAILED)
        batch = self.launch.elsewhere(tuple(node.name for node in nodes), place)
        group.start_soon(self._send_again, batch, [n.instance_id for n in nodes])

    async def _send_again(self, batch: Batch, failed: list[str]) -> None:
        try:
            await self.op.journal.flush()
            await self._end_failed(failed)
            await self.launch.send([batch])
        except ProviderError as error:
            self._end(error)

    async def _end_failed(self, ids: list[str]) -> None:
        """End instances that no node has any more, or leave that to settling."""
        try:
            await self.op.terminate(ids)
        except ProviderError as error:
            if not error.retryable:
                raise
            log.warning("cannot end %s yet: %s", ", ".join(ids), error)

    def _missed(self, name: str) -> None:
        """Note that the cloud does not list an instance: unknown, not gone.

        One that was listed before, and then is not for several times, is gone.
        """
        if name in self._listed:
            self._listed[name] += 1
            if self._listed[name] >= GONE_AFTER:
                self._broken(name, ProviderError("its instance vanished"))

    def _broken(self, name: str, fault: ProviderError | None) -> None:
        error = fault or ProviderError("the cloud reports that the instance failed")
        self.op.journal.move(name, NodeState.FAILED, fault=str(error))
        self._fail(name, "boot", error)

    # Proving

    async def _prove(self, name: str, instance: Instance) -> None:
        """Probe one node until it shows the expected host key and takes our key."""
        pauses, tries, reachable = backoff(*PROBE_PAUSES), 0, False
        while self._boots(name, instance.id):
            try:
                if not reachable:
                    await self.approach(name, instance)
                    reachable = True
                await self.prove_once(name, tries=tries)
            except ProviderError as error:
                if not error.retryable:
                    return self._broken(name, error)
                self._trouble(name, "boot", error)
                await anyio.sleep(next(pauses))
            except SshError as error:
                self._trouble(name, "ssh", error)
                tries += 1
                await anyio.sleep(next(pauses))
        self._undecided.discard(name)
        if not self._undecided:  # one node's success ends the wait for the last only
            self._judge()

    def _trouble(self, name: str, step: str, error: Exception) -> None:
        self.latest[name] = NodeFault(
            node=name, step=step, message=str(error), error=error
        )

    def _boots(self, name: str, instance_id: str) -> bool:
        """Whether a node still boots, on this instance: others may act beside us."""
        node = self.op.journal.nodes.get(name)
        return (
            node is not None
            and node.state is NodeState.BOOTING
            and node.instance_id == instance_id
        )

    async def approach(self, name: str, instance: Instance) -> None:
        """Make a running instance reachable: addresses, and the host keys to expect.

        Raises `ProviderError`, and `SshError` while the keys are not there yet.
        """
        (finished,) = await self.op.ask(
            "finish", lambda: self.op.provider.finish([instance])
        )
        if self._boots(name, instance.id):
            adopt(self.op, name, finished)
            await self._expect_cloud_keys(self.op.journal.nodes[name])

    async def prove_once(self, name: str, *, tries: int = 0) -> None:
        """Probe a node and move it to alive; raises `SshError`.

        One at a time for each node: two could rotate its host key against each other.
        """
        journal = self.op.journal
        async with journal.proving(name):
            node = journal.node(name)
            if not self._boots(name, node.instance_id):
                return
            target = self.op.target(node, tries=tries)

            async def accept(keys: tuple[str, ...]) -> None:
                known = journal.node(name).host_keys
                journal.note(name, host_keys=tuple(dict.fromkeys((*known, *keys))))
                await journal.saved()

            reached = await self.op.transport.probe(target, accept)
            if not self._boots(name, node.instance_id):
                return
            others = [a for a in node.addresses if a != target.address]
            journal.move(
                name,
                NodeState.ALIVE,
                host_keys=reached.host_keys,
                addresses=(target.address, *others),
                fault="",
            )
            self._tell_of_rotation(name, target.rotate_from, reached)

    def _tell_of_rotation(self, name: str, before: str, reached: Reached) -> None:
        cluster, listen = self.op.journal.head.name, self.op.journal.listen
        if reached.unrotated:
            self.unrotated[name] = reached.unrotated
            listen(HostKeyKept(cluster=cluster, node=name, reason=reached.unrotated))
        elif before and before not in reached.host_keys:
            shown = fingerprint(reached.host_keys[0])
            listen(HostKeyRotated(cluster=cluster, node=name, fingerprint=shown))

    async def _expect_cloud_keys(self, node: NodeRecord) -> None:
        """Read a node's host keys over the cloud's channel, if that is the policy."""
        if self.op.policy is not HostKeyPolicy.CLOUD or node.host_keys:
            return
        ids = [node.instance_id]
        keys = await self.op.ask("host_keys", lambda: self.op.provider.host_keys(ids))
        if not keys.get(node.instance_id):
            raise SshError("the cloud does not show the node's host keys yet")
        self.op.journal.note(node.name, host_keys=tuple(keys[node.instance_id]))
