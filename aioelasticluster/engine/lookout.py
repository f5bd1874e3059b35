"""How long to look out for what the cloud may have launched, but does not list."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from aioelasticluster._aio.clock import wall_clock
from aioelasticluster.engine.operation import Operation
from aioelasticluster.model.records import OrderRecord, OrderState
from aioelasticluster.providers.base import Instance


class Lookout:
    """Until when instances of some orders, or of some ids, may still show up.

    Both are listed within the provider's settle window. An order without an answer
    may have been sent until just now, when its sender died or gave up; an instance
    with an id is as old as its order's answer.
    """

    def __init__(
        self, op: Operation, *, tokens: Collection[str], ids: Collection[str] = ()
    ) -> None:
        window = op.provider.settle_window
        self._until = {
            order.token: wall_clock() + window
            for order in unsettled(op)
            if order.token in tokens
        }
        for node in op.journal.nodes.values():
            if node.instance_id in ids and (order := op.order_of(node)) is not None:
                self._until[node.instance_id] = order.written + window

    def saw(self, instances: Iterable[Instance]) -> None:
        """Look out no more for ids that were listed."""
        for instance in instances:
            self._until.pop(instance.id, None)

    @property
    def left(self) -> float:
        """For how many more seconds silence means nothing."""
        return max(0.0, max(self._until.values(), default=0.0) - wall_clock())


def unsettled(op: Operation) -> list[OrderRecord]:
    """Return the orders that may have reached the cloud, nobody knows."""
    return [
        order
        for order in op.journal.orders.values()
        if order.state is OrderState.INTENDED
    ]
