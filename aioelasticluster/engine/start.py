"""Starting nodes as a whole: settle, bring up, judge, and undo what was in vain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import anyio

from aioelasticluster._aio.finish import finish
from aioelasticluster._log import log
from aioelasticluster.engine.bringup import Bringup
from aioelasticluster.engine.operation import Operation
from aioelasticluster.engine.settle import settle
from aioelasticluster.engine.teardown import end_nodes
from aioelasticluster.errors import (
    ConfigurationError,
    ElasticlusterError,
    ProviderError,
    StartError,
    StartTimeoutError,
)
from aioelasticluster.model.records import NodeRecord
from aioelasticluster.model.reports import NodeFault, StartReport
from aioelasticluster.model.states import LIVE, UP, NodeState

#: How long (seconds) undoing may take, on top of the operation's own timeout and of
#: the time in which the cloud may not list what it launched.
ROLLBACK = 60.0

#: States from which a node can be launched.
_LAUNCHABLE = frozenset({NodeState.PLANNED, NodeState.FAILED, NodeState.TERMINATED})


@dataclass(frozen=True, kw_only=True)
class Wish:
    """How a start should go.

    `timeout` in seconds; `minimum` by kind, without it all that are started must
    come up; `kept` is asked when the start is cancelled: whether what it launched
    should stay.
    """

    timeout: float
    minimum: Mapping[str, int] | None = None
    keep_stragglers: bool = False
    kept: Callable[[], bool] = lambda: False


async def start(
    op: Operation, wish: Wish, *, only: Collection[str] | None = None
) -> StartReport:
    """Bring all nodes up (or only some), and return how each fared.

    The timeout counts from when earlier orders are settled. Raises `StartError` or a
    `ProviderError` after everything that this call launched was terminated; nodes that
    were alive before are never touched.
    """
    begun = anyio.current_time()
    first = not op.journal.stored
    await op.check_account()
    adopted = await settle(op)
    names = tuple(op.journal.nodes) if only is None else tuple(only)
    nodes = [op.journal.nodes[name] for name in names]
    bringup = Bringup(
        op=op,
        names=names,
        to_launch=tuple(n.name for n in nodes if n.state in _LAUNCHABLE),
        minimum=_all_of(op, nodes) if wish.minimum is None else wish.minimum,
    )
    deadline = anyio.current_time() + wish.timeout
    attempt = _Attempt(bringup, names, adopted, begun, first)
    try:
        await bringup.run(deadline=deadline)
    except BaseException:
        if not wish.kept():
            await attempt.undo()
        raise
    return await attempt.conclude(wish, deadline)


def _all_of(op: Operation, nodes: Iterable[NodeRecord]) -> Counter[str]:
    """Return how many nodes of each kind are up when all of these are, too."""
    names = {node.name for node in (*nodes, *op.journal.in_state(*UP))}
    return Counter(op.journal.nodes[name].kind for name in names)


def rollback(op: Operation) -> float:
    """Return how long (seconds) it may take to end nodes for certain."""
    return ROLLBACK + op.provider.settle_window


class _Attempt:
    """One start and what becomes of it."""

    def __init__(
        self,
        bringup: Bringup,
        names: tuple[str, ...],
        adopted: tuple[str, ...],
        begun: float,
        first: bool,
    ) -> None:
        self.op = bringup.op
        self.bringup = bringup
        self.names = names
        self.adopted = adopted
        self.begun = begun
        self.first = first

    async def conclude(self, wish: Wish, deadline: float) -> StartReport:
        """Judge the outcome; raises if it is not enough."""
        error = self._verdict(anyio.current_time() >= deadline)
        if error is not None:
            await self.undo()
            raise error
        if not wish.keep_stragglers:
            await self._end_stragglers()
        await self._end_broken()
        return self.report()

    def _verdict(self, too_late: bool) -> ElasticlusterError | None:
        """Return what to raise, None if enough nodes are up."""
        fatal = self.bringup.fatal
        hopeful = () if too_late or fatal else self.bringup.pending()
        if not self.bringup.short(hopeful) and fatal is None:
            return None
        if fatal is not None and not self.bringup.short():
            log.warning("the cloud refused further requests: %s", fatal)
            return None
        if fatal is not None:
            return fatal
        report = self.report(failed_all=True)
        return StartTimeoutError(report) if too_late else StartError(report)

    def report(self, *, failed_all: bool = False) -> StartReport:
        """Return how every node fared."""
        journal, faults = self.op.journal, dict(self.bringup.faults)
        booting = tuple(node.name for node in self.bringup.pending())
        if failed_all:
            faults |= {name: self._straggler(name) for name in booting}
            booting = ()
        mine = [
            node.name
            for node in journal.nodes.values()
            if node.token in self.bringup.launch.tokens and node.state in LIVE
        ]
        return StartReport(
            cluster=journal.head.name,
            alive=tuple(node.name for node in journal.in_state(*UP)),
            launched=tuple(mine),
            adopted=self.adopted,
            booting=booting,
            failed=tuple(faults[name] for name in sorted(faults)),
            unrotated=self.bringup.unrotated,
            seconds=anyio.current_time() - self.begun,
        )

    def _straggler(self, name: str) -> NodeFault:
        """Return why a node that is still under way did not make it."""
        if (latest := self.bringup.latest.get(name)) is not None:
            return latest
        node = self.op.journal.nodes[name]
        if name in self.bringup.probed:
            message = f"no SSH answer from {node.addresses[0]} in time"
            return NodeFault(node=name, step="ssh", message=message)
        if node.state is NodeState.BOOTING:
            message = f"instance {node.instance_id} did not run in time"
            return NodeFault(node=name, step="boot", message=message)
        return NodeFault(node=name, step="launch", message="no answer in time")

    async def _end_stragglers(self) -> None:
        """Terminate what is not up at the deadline; it becomes failed."""
        stragglers = [node.name for node in self.bringup.pending()]
        for name in stragglers:
            fault = self._straggler(name)
            self.bringup.faults[name] = fault
            self.op.journal.note(name, fault=str(fault.message))
        await self._end(stragglers, tokens=())

    async def _end_broken(self) -> None:
        """Terminate instances of nodes that failed; nobody can use them."""
        await self._end(
            [
                name
                for name in self.bringup.faults
                if self.op.journal.nodes[name].instance_id
            ],
            tokens=(),
        )

    async def _end(self, names: list[str], tokens: Collection[str]) -> bool:
        if not names and not tokens:
            return True
        time = rollback(self.op)
        work = end_nodes(self.op, names, tokens, then=NodeState.FAILED, timeout=time)
        return await finish(work, patience=time + 5.0)

    async def undo(self) -> None:
        """Terminate what this call launched.

        A cancellation waits for it. What cannot be confirmed stays recorded.
        """
        journal, tokens = self.op.journal, self.bringup.launch.tokens
        if journal.lost:
            return  # another process has the cluster now: it settles what we left
        mine = [
            name
            for name in self.names
            if journal.nodes[name].token in tokens
            and journal.nodes[name].state is not NodeState.FAILED
        ]
        for name in mine:
            latest = self.bringup.latest.get(name)
            journal.note(name, fault=latest.message if latest else "start was undone")
        try:
            confirmed = await self._end(mine, tokens)
            if confirmed and self.first:
                await finish(self._forget(), patience=ROLLBACK)
        except ProviderError as error:
            log.warning("cannot undo the start of %s: %s", journal.head.name, error)

    async def _forget(self) -> None:
        """Leave no trace of a cluster that never came to be."""
        op, launch = self.op, self.bringup.launch
        if not op.journal.stored or (launch.tokens and await op.find()):
            return
        if launch.prepared:
            await op.ask("cleanup", lambda: op.provider.cleanup(op.cluster_id))
        await op.journal.forget()


def check_minimum(planned: Counter[str], wanted: Mapping[str, int] | None) -> None:
    """Raise `ConfigurationError` for a quorum that cannot be met."""
    for kind, least in (wanted or {}).items():
        if not 0 <= least <= planned[kind]:
            raise ConfigurationError(
                f"min_nodes[{kind!r}]",
                least,
                f"{planned[kind]} nodes of this kind are planned",
                f"Choose between 0 and {planned[kind]}"
                if planned[kind]
                else f"Kinds are: {', '.join(planned)}",
            )


def check_timeout(timeout: float) -> None:
    """Raise `ConfigurationError` for a time that nothing can be done in."""
    if not timeout > 0:
        raise ConfigurationError(
            "timeout", timeout, "not a time to wait", "Give seconds, more than 0"
        )
