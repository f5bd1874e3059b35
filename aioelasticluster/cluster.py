"""The handle on a whole cluster: what users of the library work with."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Literal, Self

from aioelasticluster._aio.finish import finish
from aioelasticluster._aio.tasks import together
from aioelasticluster._log import log
from aioelasticluster.adapters import (
    default_repository,
    default_transport,
    rebuild_provider,
    rebuild_setup,
    settings_of,
)
from aioelasticluster.engine import configure, members, pausing, teardown
from aioelasticluster.engine.handle import Handle
from aioelasticluster.engine.settle import settle
from aioelasticluster.engine.start import (
    ROLLBACK,
    Wish,
    check_minimum,
    check_timeout,
    start,
)
from aioelasticluster.errors import (
    ConfigurationError,
    ElasticlusterError,
    SetupError,
)
from aioelasticluster.model.events import Event
from aioelasticluster.model.names import (
    check_cluster_name,
)
from aioelasticluster.model.records import (
    ClusterHead,
    ClusterRecord,
)
from aioelasticluster.model.reports import RunResult, SetupReport, StartReport
from aioelasticluster.model.states import UP
from aioelasticluster.node import Node
from aioelasticluster.providers.base import AbstractCloudProvider
from aioelasticluster.repositories.base import AbstractClusterRepository
from aioelasticluster.roster import Roster
from aioelasticluster.setup.base import AbstractSetupProvider
from aioelasticluster.ssh.base import AbstractTransport, check_policy

#: How long (seconds) leaving the block waits until the cloud confirms the end.
LEAVING = 600.0


class Cluster(Roster):
    """A compute cluster, as planned, started, set up, used and stopped.

    The constructor opens nothing. `repository` remembers the cluster beyond this
    process (default: `MemRepository`, which does not). `ssh_to` names the node or the
    kind that `frontend` is; `ssh_proxy` is a jump host `[user@]host[:port]`, or a
    ProxyCommand with %h and %p. `host_keys` says where the trust in a node's first
    SSH packet comes from; with `"ca"`, `host_ca` is the authority's public key.
    `ssh_key_priv=None` leaves the key to the user's agent. `stop_on_exit` decides
    whether leaving the block stops the cluster; by default, if this handle launched
    it. `transport` replaces SSH itself, for tests.
    """

    def __init__(
        self,
        name: str,
        cloud_provider: AbstractCloudProvider,
        setup_provider: AbstractSetupProvider,
        ssh_key_name: str,
        ssh_key_pub: str,
        ssh_key_priv: str | None,
        *,
        repository: AbstractClusterRepository | None = None,
        ssh_to: str = "",
        ssh_proxy: str = "",
        host_keys: Literal["injected", "cloud", "ca", "tofu"] = "injected",
        host_ca: str = "",
        ssh_key_passphrase: str = "",
        stop_on_exit: bool | None = None,
        transport: AbstractTransport | None = None,
    ) -> None:
        check_cluster_name(name)
        check_policy(host_keys, host_ca)
        head = ClusterHead(
            id=uuid.uuid4().hex,
            name=name,
            created=time.time(),
            provider=settings_of("cloud_provider", cloud_provider),
            setup=settings_of("setup_provider", setup_provider),
            ssh_key_name=ssh_key_name,
            ssh_key_pub=str(ssh_key_pub),
            ssh_key_priv=str(ssh_key_priv or ""),
            ssh_to=ssh_to,
            ssh_proxy=ssh_proxy,
            host_keys=host_keys,
            host_ca=host_ca,
        )
        self._build(
            ClusterRecord(head=head),
            repository or default_repository(),
            cloud_provider,
            setup_provider,
            ssh_key_passphrase,
            transport,
        )
        self._stop_on_exit = stop_on_exit

    @classmethod
    def from_record(
        cls,
        record: ClusterRecord,
        repository: AbstractClusterRepository,
        cloud_provider: AbstractCloudProvider | None = None,
        setup_provider: AbstractSetupProvider | None = None,
        *,
        ssh_key_passphrase: str = "",
        stop_on_exit: bool | None = False,
        transport: AbstractTransport | None = None,
    ) -> Self:
        """Return a handle on a recorded cluster; users call `repository.get`."""
        cluster = cls.__new__(cls)
        cluster._build(
            record,
            repository,
            cloud_provider or rebuild_provider(record.head.provider),
            setup_provider or rebuild_setup(record.head.setup),
            ssh_key_passphrase,
            transport,
        )
        cluster._handle.journal.stored = True
        cluster._stop_on_exit = stop_on_exit
        return cluster

    def _build(
        self,
        record: ClusterRecord,
        repository: AbstractClusterRepository,
        cloud_provider: AbstractCloudProvider,
        setup_provider: AbstractSetupProvider,
        passphrase: str,
        transport: AbstractTransport | None,
    ) -> None:
        head = record.head
        self._handle = Handle(
            record,
            repository=repository,
            provider=cloud_provider,
            setup=setup_provider,
            transport=transport or default_transport(head, passphrase),
            secrets=configure.Secrets(
                private_key_path=head.ssh_key_priv, passphrase=passphrase
            ),
        )
        self._stack = AsyncExitStack()

    # What is done

    async def start(
        self,
        *,
        timeout: float = 600,
        min_nodes: Mapping[str, int] | None = None,
        keep_stragglers: bool = False,
    ) -> StartReport:
        """Bring all nodes up; return when each answers SSH with its host key.

        At the deadline (timeout, seconds) it returns too if every kind has at least
        its `min_nodes` (default: all): stragglers are terminated and `failed`, or
        kept booting with `keep_stragglers`. Otherwise what *this call* launched is
        terminated, in 60 s and the cloud's settle window at most, and
        `StartTimeoutError` is raised; `StartError` if that is clear earlier. What the
        cloud refuses for good (`UnauthorizedError`, `InvalidRequestError`) ends it at
        once. Settling what an earlier start left open does not count.

        On a cluster that runs it completes what is missing. A fresh handle whose
        name is recorded with the same plan takes that cluster over; with another one
        it gets `ClusterExistsError`. A cancellation terminates what was launched,
        unless `keep()` was called.
        """
        handle = self._handle
        check_timeout(timeout)
        await handle.check_plan()
        check_minimum(self._planned(), min_nodes)
        async with handle.operation("start") as op:
            handle.begin()
            wish = Wish(
                timeout=timeout,
                minimum=dict(self._planned()) | dict(min_nodes or {}),
                keep_stragglers=keep_stragglers,
                kept=lambda: handle.keeps,
            )
            report = await start(op, wish)
            handle.inherit(report)
            return report

    async def resize(
        self, kind: str, count: int, *, timeout: float = 600
    ) -> StartReport:
        """Grow or shrink a kind to so many nodes; the others are not touched.

        New nodes are like the first of their kind; if they do not all come up they
        are terminated again, and the error is that of `start`. When shrinking, the
        highest indices leave, drained by set-up first. Repeating it completes one
        that was cut off.
        """
        handle = self._handle
        if count < 0:
            raise ConfigurationError("count", count, "not a number", "Give 0 or more")
        async with handle.operation("resize") as op:
            await handle.check_plan()
            members.first_of(op, kind)
            await op.check_account()
            handle.begin()
            more = count - self._planned()[kind]
            if more < 0:
                await handle.remove(op, members.leaving(op, kind, -more))
            left = members.unfinished(op, kind)
            added = members.grow(op, kind, max(more, 0))
            try:
                return await start(op, Wish(timeout=timeout), only=(*left, *added))
            except BaseException:
                op.journal.drop(*members.without_instance(op, added))
                raise

    async def remove_node(self, name: str) -> None:
        """Drain a node, terminate its instance and forget it.

        Raises `NodeNotFoundError`, `ProviderError`, `StopTimeoutError`.
        """
        async with self._handle.operation(f"removal of {name}") as op:
            op.journal.node(name)
            if not op.journal.stored:
                return op.journal.drop(name)
            await op.check_account()
            await self._handle.remove(op, [name])

    async def setup(
        self,
        *,
        only: Literal["failed", "new"] | Iterable[Node] | None = None,
        extra_args: Sequence[str] = (),
    ) -> SetupReport:
        """Set all alive nodes up, or only some; they become ready.

        `only="new"` are those that never were, `"failed"` those on which it failed.
        Raises `SetupError`, with the report, if any host failed; it stays alive.
        """
        handle = self._handle
        chosen = (
            only
            if isinstance(only, str) or only is None
            else [node.name for node in only]
        )
        async with handle.operation("setup") as op:
            nodes = handle.journal.nodes.values()
            handle.setup.check({node.kind for node in nodes})
            names = configure.choose(nodes, chosen)
            if names == () or not any(node.state in UP for node in nodes):
                if only is None:
                    raise ConfigurationError(
                        "nodes", 0, "no node is alive", "Call start() first"
                    )
                return SetupReport()
            report = await configure.configure(
                op, handle.setup, handle.secrets, only=names, extra_args=extra_args
            )
        if not report.ok:
            raise SetupError(report)
        return report

    async def stop(self, *, wait: bool = True, timeout: float = 600) -> None:
        """Terminate everything that bears the cluster's id, and forget it.

        The cloud decides, not the record: it is forgotten only when the cloud
        confirms that nothing is left. With `wait=False` that is left to a later
        call. Raises `StopTimeoutError`, `WrongAccountError`, `ProviderError`; the
        record stays then. A cluster that was never started is success.
        """
        handle = self._handle
        async with handle.operation("stop") as op:
            if not handle.journal.stored:
                return
            await op.check_account()
            if await teardown.stop_all(op, wait=wait, timeout=timeout):
                await handle.clean_up(op.cluster_id)
                await op.journal.forget()
                handle.mine = False

    async def pause(self, *, timeout: float = 600) -> None:
        """Stop the instances and keep their disks, until `resume`.

        Raises `UnsupportedError` before anything is touched where the cloud cannot.
        """
        async with self._handle.operation("pause") as op:
            pausing.check_pausable(op)
            await op.check_account()
            await settle(op)
            await pausing.pause(op, timeout=timeout)

    async def resume(self, *, timeout: float = 600) -> StartReport:
        """Start the instances again; return when their nodes are alive.

        Raises as `start` does; nodes that do not answer are not terminated.
        """
        async with self._handle.operation("resume") as op:
            pausing.check_pausable(op)
            await op.check_account()
            await settle(op)
            return await pausing.resume(op, timeout=timeout)

    async def refresh(self) -> None:
        """Ask the cloud what there is, and bring the record into line with it."""
        async with self._handle.operation("refresh") as op:
            if op.journal.stored:
                await members.refresh(op)

    async def run(
        self,
        command: str,
        *,
        kind: str | None = None,
        nodes: Iterable[Node | str] | None = None,
        timeout: float | None = None,
        stdin: str = "",
    ) -> dict[str, RunResult]:
        """Run a shell command on all alive nodes, of a kind, or on some, at once.

        Returns the results by node; one that cannot be reached is a result with its
        `error`. Timeout is in seconds, for each node.
        """
        chosen = self._chosen(kind, nodes)
        results: dict[str, RunResult] = {}

        async def run_on(node: Node) -> None:
            results[node.name] = await node.run(command, timeout=timeout, stdin=stdin)

        async with self._handle.transport.opened():
            await together(*(partial(run_on, node) for node in chosen))
        return {node.name: results[node.name] for node in chosen}

    def events(
        self, since: int | None = None, follow: bool = False
    ) -> AsyncIterator[Event]:
        """Return an iterator over what happens, from now on (or from event `since`).

        It ends with the operation under way, or else the next one; with `follow`
        only by `aclose()`. Any number of readers see every event.
        """
        return self._handle.events.read(since, follow)

    def keep(self) -> None:
        """Leave the cluster running when the block is left or `start` is cancelled."""
        self._handle.keep()

    async def move_to(self, repository: AbstractClusterRepository) -> None:
        """Record the cluster in another repository; users call `repository.save`."""
        await self._handle.move_to(repository)

    # How it is left

    async def aclose(self) -> None:
        """Close what `async with` keeps open; instances go on running."""
        await finish(self._stack.aclose(), patience=ROLLBACK)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._handle.repository.opened())
            await stack.enter_async_context(self._handle.provider.opened())
            self._stack = stack.pop_all()  # only if both could be opened
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        handle = self._handle
        stops = handle.mine if self._stop_on_exit is None else self._stop_on_exit
        try:
            if handle.keeps:
                await handle.record_that_it_is_kept()
            elif stops:
                await finish(self.stop(timeout=LEAVING), patience=LEAVING + ROLLBACK)
        except ElasticlusterError as failure:
            if error is None:
                raise
            log.error("%s could not be stopped: %s", self.name, failure)
        finally:
            await self.aclose()
