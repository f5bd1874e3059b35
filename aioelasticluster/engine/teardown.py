"""Ending instances: some of a cluster's, or all that bear its id."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import anyio

from aioelasticluster._aio.polling import backoff
from aioelasticluster.engine.lookout import Lookout, unsettled
from aioelasticluster.engine.operation import Operation
from aioelasticluster.engine.settle import NOTHING
from aioelasticluster.errors import StopTimeoutError
from aioelasticluster.model.records import OrderState
from aioelasticluster.model.states import LIVE, NodeState, Target
from aioelasticluster.providers.base import Instance, InstanceState


async def stop_all(op: Operation, *, wait: bool, timeout: float) -> bool:
    """Terminate all that bears the cluster's id, then clean up; the cloud decides.

    Returns whether the cloud confirmed the end. Raises `StopTimeoutError`.
    """
    op.journal.put_head(target=Target.GONE)
    for node in op.journal.nodes.values():
        if node.state in LIVE:
            op.journal.move(node.name, NodeState.TERMINATING)
    await op.journal.flush()
    remaining: tuple[str, ...] = ()
    try:
        with anyio.fail_after(timeout):
            pauses, ending = backoff(*op.provider.end_pauses), Ending(op)
            ids = {node.instance_id for node in op.journal.nodes.values()}
            lookout = Lookout(op, tokens=op.journal.orders, ids=ids)
            while True:
                found = await op.find()
                lookout.saw(found)
                remaining = tuple(instance.id for instance in found)
                await ending.of(found)
                if not wait:
                    return False
                if not found and not lookout.left:
                    break
                await anyio.sleep(next(pauses))
            await op.ask("cleanup", lambda: op.provider.cleanup(op.cluster_id))
    except TimeoutError:
        raise StopTimeoutError(op.journal.head.name, remaining) from None
    for node in op.journal.in_state(NodeState.TERMINATING):
        op.journal.move(node.name, NodeState.TERMINATED, **NOTHING)
    return True


async def end_nodes(
    op: Operation,
    names: Collection[str],
    tokens: Collection[str],
    *,
    then: NodeState,
    timeout: float,
) -> bool:
    """Terminate these nodes' instances, and all that came of these orders.

    Returns whether the cloud confirmed it in time; if not, the nodes stay
    `terminating` for the next operation to see to.
    """
    faults = {name: op.journal.nodes[name].fault for name in names}
    for name in names:
        if op.journal.nodes[name].state in LIVE | {NodeState.FAILED}:
            op.journal.move(name, NodeState.TERMINATING)
    await op.journal.flush()
    sent = {token for token in tokens if not _is_void(op, token)}
    with anyio.move_on_after(timeout) as scope:
        await _end_instances(op, names, sent)
    if scope.cancelled_caught:
        return False
    for order in unsettled(op):
        if order.token in tokens:
            op.journal.put_orders(replace(order, state=OrderState.VOID))
    for name in names:
        if op.journal.nodes[name].state is NodeState.TERMINATING:
            op.journal.move(name, then, fault=faults[name], **NOTHING)
    await op.journal.flush()
    return True


#: How many times an instance that was to end is listed as before until that is asked
#: for again: a cloud may accept it, and then fail.
AGAIN_AFTER = 4

#: How long (seconds) some nodes' instances are watched until they are gone; that the
#: cloud terminates them is enough after that.
VANISHING = 10.0


async def _end_instances(
    op: Operation, names: Collection[str], tokens: Collection[str]
) -> None:
    nodes = [op.journal.nodes[name] for name in names]
    ids = {node.instance_id for node in nodes} - {""}
    # Orders of theirs that nobody answered may launch other nodes, too.
    unanswered = {order.token for order in unsettled(op)}
    pending = {(n.token, n.name) for n in nodes if n.token in unanswered}
    if not ids and not tokens and not pending:
        return
    ending, pauses = Ending(op), backoff(*op.provider.end_pauses)
    begun = anyio.current_time()
    lookout = Lookout(op, tokens={*tokens, *(token for token, _ in pending)}, ids=ids)
    while True:
        found = [
            instance
            for instance in await op.find()
            if instance.id in ids
            or instance.token in tokens
            or (instance.token, instance.name) in pending
        ]
        lookout.saw(found)
        await ending.of(found)
        on_its_way = all(i.state is InstanceState.TERMINATING for i in found)
        patient = found and anyio.current_time() < begun + VANISHING
        if on_its_way and not patient and not lookout.left:
            return
        await anyio.sleep(next(pauses))


def _is_void(op: Operation, token: str) -> bool:
    return op.journal.orders[token].state is OrderState.VOID


class Ending:
    """Terminates what is found: once, and again if nothing comes of it."""

    def __init__(self, op: Operation) -> None:
        self._op = op
        self._left_alone: dict[str, int] = {}

    async def of(self, found: Sequence[Instance]) -> None:
        """Terminate what was not asked for yet, or is listed as if it were not.

        Raises the `ProviderError` that says why one cannot end.
        """
        due = []
        for instance in found:
            if instance.state is InstanceState.TERMINATING:
                continue
            times = self._left_alone.get(instance.id)
            if times and instance.state is not InstanceState.PAUSING:
                times -= 1  # one that stops may do so on its way to its end
            if not times:
                due.append(instance.id)
            self._left_alone[instance.id] = times or AGAIN_AFTER
        await self._op.terminate(due)
