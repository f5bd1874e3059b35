"""What a Cluster and its Nodes share: the parts, and how an operation runs on them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from dataclasses import replace
from pathlib import Path
from typing import Any

from aioelasticluster._aio.finish import finish
from aioelasticluster._aio.loop_local import LoopLocal
from aioelasticluster._aio.shared import Shared
from aioelasticluster._aio.tasks import accompanied
from aioelasticluster._process import ProcessIdentity
from aioelasticluster.engine import configure, members
from aioelasticluster.engine.configure import Secrets, check_requirements
from aioelasticluster.engine.event_log import EventLog
from aioelasticluster.engine.journal import PATIENCE, Journal
from aioelasticluster.engine.operation import Operation
from aioelasticluster.engine.session import renew, session
from aioelasticluster.errors import (
    ClusterExistsError,
    ClusterNotFoundError,
    ConfigurationError,
    UnsupportedError,
)
from aioelasticluster.model.codec import plan_digest
from aioelasticluster.model.events import OperationEnded, OperationStarted
from aioelasticluster.model.records import Change, ClusterRecord
from aioelasticluster.model.reports import StartReport
from aioelasticluster.model.states import Target
from aioelasticluster.providers.base import AbstractCloudProvider
from aioelasticluster.repositories.base import AbstractClusterRepository
from aioelasticluster.setup.base import AbstractSetupProvider
from aioelasticluster.ssh.base import AbstractTransport, HostKeyPolicy


class Handle:
    """The parts of one cluster, and the way to operate on them.

    `mine` tells whether this handle first launched the cluster, so that leaving its
    block may stop it.
    """

    def __init__(
        self,
        record: ClusterRecord,
        *,
        repository: AbstractClusterRepository,
        provider: AbstractCloudProvider,
        setup: AbstractSetupProvider,
        transport: AbstractTransport,
        secrets: Secrets,
    ) -> None:
        self.events = EventLog()
        self.journal = Journal(record, self.events.emit)
        self.repository = repository
        self.provider = provider
        self.setup = setup
        self.transport = transport
        self.secrets = secrets
        self.mine = False
        self.keeps = False
        self._one_at_a_time = LoopLocal(asyncio.Lock)
        self._session = Shared(self._open_session)

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.journal.head.name

    @asynccontextmanager
    async def operation(self, name: str) -> AsyncIterator[Operation]:
        """Run a public operation: under the lease, with writes and events.

        Operations of one handle wait for one another; those of others get
        `ClusterBusyError`.
        """
        begun, error = time.monotonic(), ""
        self.events.emit(OperationStarted(cluster=self.name, operation=name))
        try:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(self._one_at_a_time.get())
                yield await stack.enter_async_context(self.on_record())
        except BaseException as failure:
            error = str(failure) or type(failure).__name__
            raise
        finally:
            self.events.emit(
                OperationEnded(
                    cluster=self.name,
                    operation=name,
                    seconds=time.monotonic() - begun,
                    error=error,
                )
            )

    @asynccontextmanager
    async def on_record(self) -> AsyncIterator[Operation]:
        """Hold the lease and write changes for the block; beside others, if need be.

        Raises `ClusterBusyError`.
        """
        async with self._session() as op, accompanied(self.journal.keep()):
            if self.journal.stored and self.keeps and not self.journal.head.kept:
                self.journal.put_head(kept=True)
            yield op

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Hold open what is needed to reach nodes; no lease, nothing is written."""
        async with self.provider.opened(), self.transport.opened():
            yield

    def _open_session(self) -> AbstractAsyncContextManager[Operation]:
        return session(self.journal, self.repository, self.provider, self.transport)

    async def check_plan(self) -> None:
        """Check all that can be wrong before anything is launched.

        Raises `ConfigurationError`, `KeyPairError` and `UnsupportedError`.
        """
        nodes = self.journal.nodes.values()
        if not nodes:
            raise ConfigurationError(
                "nodes", 0, "the cluster has no nodes", "Call add_node or add_nodes"
            )
        for node in nodes:
            self.provider.check_options(node.spec)
        offers = self.provider.capabilities
        policy = HostKeyPolicy(self.journal.head.host_keys)
        for wanted, needed, offered in (
            (HostKeyPolicy.INJECTED, "user-data", offers.user_data),
            (HostKeyPolicy.CLOUD, "host keys of its own", offers.cloud_host_keys),
        ):
            if policy is wanted and not offered:
                raise UnsupportedError(
                    f"host_keys={str(policy)!r} needs {needed}, which "
                    f"{type(self.provider).__name__} does not offer"
                )
        await self.transport.load()
        needs = self.setup.check({node.kind for node in nodes})
        check_requirements(needs, offers, type(self.provider).__name__)

    def begin(self) -> None:
        """Make the journal's record one of a cluster that should run.

        Raises `ClusterExistsError` while it is paused or being stopped.
        """
        journal = self.journal
        if not journal.stored and journal.head.target is Target.GONE:
            renew(journal)
        if journal.stored and journal.head.target is not Target.RUNNING:
            way_on = "resume" if journal.head.target is Target.PAUSED else "stop"
            raise ClusterExistsError(
                self.name,
                f"it is on its way to {journal.head.target}: `{way_on}()` goes on",
            )
        kept = self.keeps or journal.head.kept
        facts: dict[str, Any] = {"target": Target.RUNNING, "kept": kept}
        if not journal.head.owner:
            facts["owner"] = ProcessIdentity.current().encoded()
            self.mine = True
        if journal.replanned:
            facts["plan"] = plan_digest(journal.nodes.values())
            journal.replanned = False
        head = replace(journal.head, **facts)
        if head != journal.head:
            journal.put_head(**facts)

    def inherit(self, report: StartReport) -> None:
        """Take the place of a dead process whose unfinished work this start finished.

        Then leaving the block is to stop the cluster, as it was for that process.
        """
        owner = ProcessIdentity.decoded(self.journal.head.owner)
        completed = bool(report.launched or report.adopted)
        if completed and not self.journal.head.kept and owner is not None:
            self.mine = self.mine or owner.dead

    def ssh_config(self, known_hosts: str | Path | None) -> str:
        """Write the nodes' host keys; return the configuration that names the file."""
        head, view = self.journal.head, self.view()
        nodes = [node for node in self.journal.nodes.values() if node.addresses]
        return self.transport.ssh_config(
            [view.target(node) for node in nodes],
            cluster=head.name,
            cluster_id=head.id,
            known_hosts=known_hosts,
        )

    def view(self) -> Operation:
        """Return the parts as an operation sees them, for reading only."""
        return Operation(
            provider=self.provider,
            transport=self.transport,
            journal=self.journal,
            repository_id="",
        )

    async def remove(self, op: Operation, names: Sequence[str]) -> None:
        """Drain nodes that are set up, terminate their instances and forget them."""
        if any(configure.touched(op.journal.node(name)) for name in names):
            await self.setup.before_removal(configure.view(op, self.secrets), names)
        await members.remove(op, names)

    async def clean_up(self, cluster_id: str) -> None:
        """Remove what is kept on this machine for a cluster that is gone."""
        await self.setup.cleanup(cluster_id)
        await self.transport.cleanup(cluster_id)

    def keep(self) -> None:
        """Let the cluster outlive its block; recorded when that is left, or before."""
        self.keeps = True

    async def record_that_it_is_kept(self) -> None:
        """Write what `keep` said, which any hold on the record does by the way."""
        async with self.on_record():
            pass

    async def move_to(self, repository: AbstractClusterRepository) -> None:
        """Record the cluster in another repository, and no more in the present one.

        Its instances are tagged anew first. Raises `ClusterExistsError` if the name
        is taken there.
        """
        if repository is self.repository:
            async with self.operation("save"):
                await self.journal.flush()
            return
        async with self.operation("save") as op:
            async with repository.opened():
                await self._copy_to(repository, op)
            if self.journal.stored:
                await self.journal.forget()
        self.repository = repository
        self.journal.stored = True

    async def _copy_to(
        self, repository: AbstractClusterRepository, op: Operation
    ) -> None:
        """Write the whole record where its name is free; the tags first."""
        record, name = self.journal.record, self.name
        lease = await repository.acquire(name, ttl=60.0)
        try:
            await _check_free(repository, record)
            await self._retag(op, await repository.id())
            change = Change(
                head=record.head,
                nodes=tuple(record.nodes.values()),
                orders=tuple(record.orders.values()),
            )
            await repository.transaction(lease, change)
        finally:
            await finish(repository.release(lease), patience=PATIENCE)

    async def _retag(self, op: Operation, repository_id: str) -> None:
        ids = [n.instance_id for n in self.journal.nodes.values() if n.instance_id]
        if ids:
            await op.check_account()
            await op.ask(
                "retag", lambda: self.provider.retag(ids, repository=repository_id)
            )


async def _check_free(
    repository: AbstractClusterRepository, record: ClusterRecord
) -> None:
    """Raise `ClusterExistsError` if another cluster has the name there."""
    try:
        stored = await repository.load(record.head.name)
    except ClusterNotFoundError:
        return
    if stored.head.id != record.head.id:
        raise ClusterExistsError(record.head.name, "another cluster")
