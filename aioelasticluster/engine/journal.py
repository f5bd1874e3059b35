"""One cluster's record in memory, its events, and what is still to be written.

Every change of a node goes through `move` or `note`; changes are written in groups,
at most `INTERVAL` seconds after they were made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import anyio

from aioelasticluster._aio.clock import wall_clock
from aioelasticluster._aio.finish import finish
from aioelasticluster.errors import LeaseLostError, NodeNotFoundError
from aioelasticluster.model.events import Event, NodeMoved
from aioelasticluster.model.records import (
    Change,
    ClusterHead,
    ClusterRecord,
    NodeRecord,
    OrderRecord,
)
from aioelasticluster.model.states import NodeState
from aioelasticluster.repositories.base import AbstractClusterRepository, Lease

#: Longest time (seconds) that a change waits for company before it is written, which
#: is also the time between two writes, but for so many in a row.
INTERVAL = 0.2
BURST = 5.0

#: How long (seconds) a write may go on after a cancellation.
PATIENCE = 60.0


class Journal:
    """What this handle knows of its cluster, and the way to the repository.

    It is `attached` to a repository under a lease while operations run, and only
    then writes. `listen` is called with every event. `stored` tells whether the
    cluster is recorded, `lost` whether another process has it now, and `replanned`
    whether the user's program planned nodes that the record's plan does not have.
    """

    def __init__(self, record: ClusterRecord, listen: Callable[[Event], None]) -> None:
        self.record = record
        self.listen = listen
        self.stored = False
        self.lost = False
        self.replanned = False
        self._repository: AbstractClusterRepository | None = None
        self._lease: Lease | None = None
        self._ttl = 0.0
        self._version = self._written = 0
        self._forget_dirt()

    # What is known

    @property
    def head(self) -> ClusterHead:
        """The cluster apart from its nodes."""
        return self.record.head

    @property
    def nodes(self) -> Mapping[str, NodeRecord]:
        """The nodes by name."""
        return self.record.nodes

    @property
    def orders(self) -> Mapping[str, OrderRecord]:
        """The launch orders by token."""
        return self.record.orders

    def node(self, name: str) -> NodeRecord:
        """Return a node; raise `NodeNotFoundError`."""
        try:
            return self.record.nodes[name]
        except KeyError:
            raise NodeNotFoundError(name, tuple(self.record.nodes)) from None

    def in_state(self, *states: NodeState) -> tuple[NodeRecord, ...]:
        """Return the nodes that are in one of these states."""
        return tuple(node for node in self.nodes.values() if node.state in states)

    # What changes

    def move(self, name: str, state: NodeState, **facts: Any) -> NodeRecord:
        """Move a node and tell the listener; a move to where it is changes facts."""
        before = self.node(name)
        after = before.moved(state, **facts)
        self._put(after)
        if before.state is not state:
            self.listen(
                NodeMoved(
                    cluster=self.head.name,
                    node=name,
                    kind=after.kind,
                    before=before.state,
                    after=state,
                    instance_id=after.instance_id,
                    address=after.addresses[0] if after.addresses else "",
                    reason=after.fault,
                )
            )
        return after

    def note(self, name: str, **facts: Any) -> NodeRecord:
        """Change a node's facts without a move."""
        node = replace(self.node(name), **facts)
        if node != self.nodes[name]:
            self._put(node)
        return node

    def put_head(self, **facts: Any) -> None:
        """Change facts of the cluster itself."""
        self._apply(Change(head=replace(self.head, **facts)))
        self._dirty_head = True
        self._changed()

    def plan(self, *nodes: NodeRecord) -> None:
        """Add nodes that the user's program asks for."""
        self.replanned = True
        self.put_nodes(*nodes)

    def put_nodes(self, *nodes: NodeRecord) -> None:
        """Add nodes, or replace them."""
        for node in nodes:
            self._put(node)

    def put_orders(self, *orders: OrderRecord) -> None:
        """Add orders, or replace them."""
        self._apply(Change(orders=orders))
        self._dirty_orders.update(order.token for order in orders)
        self._changed()

    def drop(self, *names: str) -> None:
        """Forget nodes."""
        self._apply(Change(removed_nodes=names))
        self._dirty_nodes.difference_update(names)
        self._removed.update(names)
        self._changed()

    # How it is written

    def attach(
        self, repository: AbstractClusterRepository, lease: Lease, *, ttl: float
    ) -> None:
        """Write to this repository, under this lease, from now on."""
        self._repository, self._lease, self._ttl = repository, lease, ttl
        self.lost = False
        self._writing = asyncio.Lock()
        self._news = asyncio.Event()
        self._told = asyncio.Condition()
        self._proving: dict[str, asyncio.Lock] = {}
        self._left, self._last_write = BURST, anyio.current_time()

    def proving(self, name: str) -> asyncio.Lock:
        """Return the lock under which a node is probed for the first time."""
        return self._proving.setdefault(name, asyncio.Lock())

    def detach(self) -> Lease:
        """Write no more; return the lease to give back."""
        lease, self._lease, self._repository = self._lease, None, None
        assert lease is not None
        return lease

    def load(self, record: ClusterRecord) -> None:
        """Take over what the repository holds."""
        self.record, self.stored = record, True
        self._forget_dirt()

    async def flush(self) -> None:
        """Write all changes now, in one transaction; a cancellation waits for it.

        Raises `LeaseLostError` and `RepositoryError`; the changes stay unwritten.
        """
        await finish(self._write(), patience=PATIENCE)

    async def saved(self) -> None:
        """Return when all that is known now is written, together with others'.

        Returns at once when the cluster is not recorded (any more).
        """
        version = self._version
        self._news.set()
        async with self._told:
            await self._told.wait_for(
                lambda: self._written >= version or not self.stored
            )

    async def keep(self) -> None:
        """Write changes in groups and renew the lease, until cancelled.

        A cluster that was never recorded is not, until somebody flushes. Raises
        `LeaseLostError` and `RepositoryError`.
        """
        while True:
            assert self._lease is not None
            with anyio.move_on_after(self._ttl / 6):
                await self._news.wait()
            self._news.clear()
            if self._lease.expires - wall_clock() < self._ttl * 2 / 3:
                await finish(self._renew(), patience=PATIENCE)
            if self.stored and self._dirty:
                await anyio.sleep(max(0.0, 1.0 - self._credit()) * INTERVAL)
                await self.flush()
            elif not self._dirty:
                await self._tell()

    async def hold(self, seconds: float) -> None:
        """Return when the lease lasts for so long; raises `LeaseLostError`.

        What must not happen under another's lease is done only after this.
        """
        assert self._lease is not None
        if self._lease.expires - wall_clock() < seconds:
            self._ttl = max(self._ttl, 1.5 * seconds)
            await finish(self._renew(), patience=PATIENCE)

    async def forget(self) -> None:
        """Delete the record; what is known here stays, unwritten."""
        await finish(self._forget(), patience=PATIENCE)

    async def _forget(self) -> None:
        assert self._repository is not None
        assert self._lease is not None
        async with self._writing:
            await self._repository.forget(self._lease)
            self.stored = False
            self._forget_dirt()
        await self._tell()

    async def _write(self) -> None:
        async with self._writing:
            if self._dirty:
                await self._write_changes()
        await self._tell()

    async def _tell(self) -> None:
        """Wake those who wait for a write, if there is none to wait for."""
        if not self._dirty:
            self._written = self._version
        async with self._told:
            self._told.notify_all()

    async def _write_changes(self) -> None:
        assert self._repository is not None
        assert self._lease is not None
        version, change = self._version, self._take()
        try:
            await self._repository.transaction(self._lease, change)
        except BaseException as error:
            self._put_back(change)
            self.lost = self.lost or isinstance(error, LeaseLostError)
            raise
        self.stored = True
        self._written = version
        self._left, self._last_write = self._credit() - 1.0, anyio.current_time()

    def _credit(self) -> float:
        """Return how many writes may be made now."""
        earned = (anyio.current_time() - self._last_write) / INTERVAL
        return min(BURST, self._left + earned)

    async def _renew(self) -> None:
        assert self._repository is not None
        assert self._lease is not None
        try:
            self._lease = await self._repository.renew(self._lease, ttl=self._ttl)
        except LeaseLostError:
            self.lost = True
            raise

    # What is not yet written

    @property
    def _dirty(self) -> bool:
        return bool(
            self._dirty_head or self._dirty_nodes or self._dirty_orders or self._removed
        )

    def _forget_dirt(self) -> None:
        self._dirty_head = False
        self._dirty_nodes: set[str] = set()
        self._dirty_orders: set[str] = set()
        self._removed: set[str] = set()

    def _changed(self) -> None:
        self._version += 1
        if self._lease is not None:
            self._news.set()

    def _put(self, node: NodeRecord) -> None:
        self._apply(Change(nodes=(node,)))
        self._dirty_nodes.add(node.name)
        self._removed.discard(node.name)
        self._changed()

    def _apply(self, change: Change) -> None:
        self.record = change.applied(self.record)

    def _take(self) -> Change:
        """Return what is to be written, whole if the record is not stored yet."""
        whole = not self.stored
        nodes = self.nodes if whole else self._dirty_nodes
        orders = self.orders if whole else self._dirty_orders
        change = Change(
            head=self.head if whole or self._dirty_head else None,
            nodes=tuple(self.nodes[name] for name in nodes),
            orders=tuple(self.orders[token] for token in orders),
            removed_nodes=tuple(self._removed),
        )
        self._dirty_head = False
        self._dirty_nodes, self._dirty_orders = set(), set()
        self._removed = set()
        return change

    def _put_back(self, change: Change) -> None:
        """Remember a change that may not have been written."""
        self._dirty_head = self._dirty_head or change.head is not None
        self._dirty_nodes.update(
            node.name for node in change.nodes if node.name in self.nodes
        )
        self._dirty_orders.update(order.token for order in change.orders)
        self._removed.update(
            name for name in change.removed_nodes if name not in self.nodes
        )
