"""From planned to booting: orders, their answers, and what is done about refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import anyio

from aioelasticluster._aio.clock import wall_clock
from aioelasticluster._aio.finish import finish
from aioelasticluster._aio.polling import backoff
from aioelasticluster._aio.tasks import task_group
from aioelasticluster.engine.operation import Operation
from aioelasticluster.engine.orders import Batch, batches_of, by_spec, make_batch
from aioelasticluster.engine.retry import insist
from aioelasticluster.errors import (
    CapacityError,
    InvalidRequestError,
    ProviderError,
    ThrottledError,
    TransientError,
    UnauthorizedError,
    UnknownOutcomeError,
)
from aioelasticluster.model.events import OrderAnswered, OrderSent
from aioelasticluster.model.records import NodeRecord, NodeSpec, OrderState
from aioelasticluster.model.states import NodeState
from aioelasticluster.providers.base import (
    Instance,
    InstanceState,
    Launched,
    LaunchOrder,
    Preparation,
)

#: Refusals that no other zone, attempt or node can escape: they end the operation.
FATAL = (UnauthorizedError, InvalidRequestError)


@dataclass(kw_only=True)
class Launch:
    """Launches nodes for one operation; `failed` is told of each that is refused.

    `prepared` says whether the cloud may hold something that was made for it.
    """

    op: Operation
    failed: Callable[[str, ProviderError], None]
    public_key: str = ""
    resources: Mapping[str, str] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    prepared: bool = field(default=False, init=False)
    _unknown: set[str] = field(default_factory=set, init=False)

    async def prepare(self, nodes: Sequence[NodeRecord]) -> None:
        """Make what the first launch needs; raises `ProviderError`."""
        self.public_key = await self.op.transport.load()
        head = self.op.journal.head
        preparation = Preparation(
            cluster_id=head.id,
            cluster=head.name,
            key_name=head.ssh_key_name,
            public_key=self.public_key,
            specs=[spec for spec, _ in by_spec(nodes)],
        )
        calls = 0

        async def prepare() -> Mapping[str, str]:
            nonlocal calls
            calls += 1
            return await self.op.provider.prepare(preparation)

        self.prepared = True
        try:
            self.resources = await self.op.ask("prepare", prepare)
        except FATAL:
            self.prepared = calls > 1  # the last one leaves nothing of its own
            raise

    async def intend(self, nodes: Sequence[NodeRecord]) -> list[Batch]:
        """Put orders for all nodes on disk, in one transaction, before any is sent."""
        batches = [
            self._make(names, self.op.provider.zones(spec)[0])
            for spec, names in batches_of(nodes, self.op.provider.max_batch)
        ]
        await self.op.journal.flush()
        return batches

    async def send(self, batches: Sequence[Batch]) -> None:
        """See all orders through, concurrently.

        Raises the first that is `FATAL`; other refusals are told to `failed`.
        """
        fatal: list[ProviderError] = []

        async def see_through(batch: Batch) -> None:
            try:
                await self._see_through(batch)
            except FATAL as error:
                fatal.append(error)
                group.cancel_scope.cancel()

        async with task_group() as group:
            for batch in batches:
                group.start_soon(see_through, batch)
        if fatal:
            raise fatal[0]

    def place_after(self, node: NodeRecord) -> str | None:
        """Return where else a node that this launched may go, None: nowhere."""
        order = self.op.order_of(node)
        if order is None or order.token not in self.tokens:
            return None
        return next(iter(self._places_after(node.spec, order.zone)), None)

    def elsewhere(self, names: tuple[str, ...], place: str) -> Batch:
        """Order nodes of one order anew, in another place; `send` it then."""
        return self._make(names, place)

    def _places_after(self, spec: NodeSpec, place: str) -> Sequence[str]:
        places = list(self.op.provider.zones(spec))
        return places[places.index(place) + 1 :] if place in places else ()

    def _make(self, names: tuple[str, ...], zone: str) -> Batch:
        batch = make_batch(
            self.op,
            self.op.journal.nodes[names[0]].spec,
            names,
            zone=zone,
            public_key=self.public_key,
            resources=self.resources,
        )
        self.tokens.append(batch.record.token)
        return batch

    async def _see_through(self, batch: Batch) -> None:
        """Send an order, and further ones for what it left out."""
        zones = iter(self._places_after(batch.order.spec, batch.record.zone))
        pauses = backoff(0.5, 15.0)
        zone = batch.record.zone
        while True:
            missing, reason = await self._answer_of(batch)
            if not missing:
                return
            if reason is None:  # the answer to an order of the rest tells
                batch = self._make(missing, zone)
                await self.op.journal.flush()
                continue
            if isinstance(reason, FATAL):
                raise reason
            if isinstance(reason, CapacityError):
                if (following := next(zones, None)) is None:
                    break
                zone = following
            elif isinstance(reason, ThrottledError | TransientError):
                await anyio.sleep(next(pauses))
            else:
                break
            batch = self._make(missing, zone)
            await self.op.journal.flush()
        for name in missing:
            self.op.journal.move(name, NodeState.FAILED, fault=str(reason))
            self.failed(name, reason)

    async def _answer_of(
        self, batch: Batch
    ) -> tuple[tuple[str, ...], ProviderError | None]:
        """Return the names that an order did not launch, and why not, if it says so.

        A call whose outcome is unknown is repeated: this process still holds the
        very request. Where the cloud has no tokens, or does not answer again, it is
        looked for when the settle window has passed.
        """
        journal, order = self.op.journal, batch.order
        journal.listen(
            OrderSent(
                cluster=journal.head.name,
                token=order.token,
                nodes=order.names,
                zone=order.zone,
            )
        )
        try:
            answer = await insist(
                lambda: self._call(batch),
                request="launch",
                cluster=journal.head.name,
                listen=journal.listen,
                repeat_unknown=self.op.provider.capabilities.tokens,
            )
        except ProviderError as error:
            unknown = isinstance(error, UnknownOutcomeError)
            if unknown or order.token in self._unknown:
                answer = await self._looked_for(batch, error)
                return _missing_of(order, answer)
            journal.put_orders(replace(batch.record, state=OrderState.VOID))
            return order.names, error
        return _missing_of(order, answer)

    async def _looked_for(self, batch: Batch, error: ProviderError) -> Launched:
        """Return what exists of an order when the settle window has passed.

        If that cannot be found out, the order stays open for the next operation.
        """
        await anyio.sleep(self.op.provider.settle_window)
        found = await self.op.ask(
            "find", lambda: self.op.provider.find(token=batch.record.token)
        )
        answer = Launched(
            instances=tuple(found), refused=TransientError(f"lost: {error}")
        )
        record_answer(self.op, batch, answer)
        return answer

    async def _call(self, batch: Batch) -> Launched:
        """Make one create call; remember if nobody knows what came of it."""
        patience = self.op.provider.launch_patience
        try:
            return await finish(self._ask_and_record(batch), patience=patience)
        except UnknownOutcomeError:
            self._unknown.add(batch.order.token)
            raise

    async def _ask_and_record(self, batch: Batch) -> Launched:
        """Make one create call and record its answer: never parted."""
        await self.op.journal.hold(self.op.provider.launch_patience)
        answer = await self.op.provider.launch(batch.order)
        record_answer(self.op, batch, answer)
        return answer


def _missing_of(
    order: LaunchOrder, answer: Launched
) -> tuple[tuple[str, ...], ProviderError | None]:
    """Return the names that an answer leaves out, and why.

    None: the cloud filled a part of the order and did not say.
    """
    launched = {instance.index for instance in answer.instances}
    missing = tuple(
        name for index, name in enumerate(order.names) if index not in launched
    )
    if answer.refused or answer.instances:
        return missing, answer.refused
    return missing, CapacityError(
        "the cloud launched nothing and did not say why",
        zone=order.zone,
        flavor=order.spec.flavor,
    )


def record_answer(op: Operation, batch: Batch, answer: Launched) -> None:
    """Write an order's answer into the journal."""
    names = batch.order.names
    for instance in answer.instances:
        adopt(op, names[instance.index], instance)
    done = replace(batch.record, state=OrderState.DONE, written=wall_clock())
    op.journal.put_orders(done)
    missing, _ = _missing_of(batch.order, answer)
    op.journal.listen(
        OrderAnswered(
            cluster=op.journal.head.name,
            token=batch.order.token,
            launched=tuple(name for name in names if name not in missing),
            refused=missing,
            reason=str(answer.refused or ""),
        )
    )


def adopt(op: Operation, name: str, instance: Instance) -> None:
    """Record that a node's instance exists."""
    op.journal.move(
        name,
        NodeState.BOOTING,
        instance_id=instance.id,
        addresses=instance.addresses,
        ssh_port=instance.ssh_port,
    )


def is_up(instance: Instance) -> bool:
    """Whether an instance can be asked for SSH."""
    return instance.state is InstanceState.RUNNING and bool(instance.addresses)
