"""What an interrupted operation left: adopt what exists, plan the rest anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import anyio

from aioelasticluster._aio.clock import wall_clock
from aioelasticluster.engine.launch import adopt
from aioelasticluster.engine.lookout import Lookout, unsettled
from aioelasticluster.engine.operation import Operation
from aioelasticluster.errors import KeyPairError, SshError
from aioelasticluster.model.records import NodeRecord, OrderRecord, OrderState
from aioelasticluster.model.states import UP, NodeState
from aioelasticluster.providers.base import Instance, InstanceState

#: What a node without an instance has.
NOTHING = {"instance_id": "", "addresses": (), "host_keys": ()}

#: Nodes that are not to have an instance any more, whatever the cloud launched.
_GOING = frozenset({NodeState.TERMINATING, NodeState.TERMINATED})

_NODE_STATE_OF = {
    InstanceState.PAUSING: NodeState.PAUSING,
    InstanceState.PAUSED: NodeState.PAUSED,
}


async def settle(op: Operation) -> tuple[str, ...]:
    """Bring the record and the cloud together; return the nodes that were adopted.

    Intended orders are looked for until the cloud's settle window has passed: "not
    listed" before means unknown. What was leaving goes on to leave, and instances of
    ours that no node has are terminated.
    """
    if not op.journal.stored:
        return ()
    found = await op.find()
    intended = unsettled(op)
    lookout = Lookout(op, tokens={order.token for order in intended})
    while lookout.left and not _complete(intended, found):
        await anyio.sleep(min(lookout.left, op.provider.poll_pauses[1]))
        found = await op.find()
    adopted = _adopt(op, intended, found)
    await _miss(op, found)
    await op.terminate([*_leaving(op, found), *_strays(op, found)])
    for node in op.journal.in_state(NodeState.TERMINATING):
        op.journal.move(node.name, NodeState.TERMINATED, fault=node.fault, **NOTHING)
    await op.journal.flush()
    return adopted


def _complete(orders: Sequence[OrderRecord], found: Sequence[Instance]) -> bool:
    """Whether every node of these orders is listed."""
    listed = {(instance.token, instance.index) for instance in found}
    return all(
        (order.token, index) in listed
        for order in orders
        for index in range(len(order.names))
    )


def _adopt(
    op: Operation, orders: Sequence[OrderRecord], found: Sequence[Instance]
) -> tuple[str, ...]:
    """Give unanswered orders their answer: their nodes boot, or are planned again."""
    adopted: list[str] = []
    for order in orders:
        instances = _by_index(order, found)
        for index, name in enumerate(order.names):
            node = op.journal.nodes.get(name)
            if node is None or node.token != order.token or node.state in _GOING:
                continue
            if index in instances:
                _take(op, name, instances[index])
                adopted.append(name)
            elif node.state is NodeState.LAUNCHING:
                op.journal.move(name, NodeState.PLANNED)
        state = OrderState.DONE if instances else OrderState.VOID
        op.journal.put_orders(replace(order, state=state))
    return tuple(adopted)


def _by_index(order: OrderRecord, found: Sequence[Instance]) -> Mapping[int, Instance]:
    return {
        instance.index: instance
        for instance in found
        if instance.token == order.token
        and instance.state is not InstanceState.TERMINATING
    }


def _take(op: Operation, name: str, instance: Instance) -> None:
    adopt(op, name, instance)
    if (state := _NODE_STATE_OF.get(instance.state)) is not None:
        op.journal.move(name, state)


async def _miss(op: Operation, found: Sequence[Instance]) -> None:
    """Mark nodes whose instance is gone.

    One incomplete listing ends no node that works: it must be missing twice, and must
    not answer.
    """
    if not _missing(op, found):
        return
    await anyio.sleep(op.provider.poll_pauses[1])
    missing = _missing(op, await op.find())
    reasons = await _reasons(op, missing) if missing else {}
    for node in missing:
        if node.state not in UP or not await _answers(op, node):
            fault = reasons.get(node.instance_id, "its instance is gone")
            op.journal.move(node.name, NodeState.FAILED, fault=fault)


async def _reasons(op: Operation, missing: Sequence[NodeRecord]) -> Mapping[str, str]:
    """Return why instances ended, as far as the cloud still tells: reclaimed, say."""
    ids = [node.instance_id for node in missing]
    described = await op.ask(
        "describe", lambda: op.provider.describe(op.cluster_id, ids)
    )
    return {i.id: f"its instance is gone: {i.fault}" for i in described if i.fault}


def _missing(op: Operation, found: Sequence[Instance]) -> list[NodeRecord]:
    """Return nodes whose instance should be listed, and is not."""
    listed = {i.id for i in found if i.state is not InstanceState.TERMINATING}
    recent = wall_clock() - op.provider.settle_window
    missing: list[NodeRecord] = []
    for node in op.journal.in_state(
        NodeState.BOOTING, NodeState.PAUSING, NodeState.PAUSED, *UP
    ):
        order = op.order_of(node)
        fresh = order is not None and order.written > recent
        if node.instance_id not in listed and not fresh:
            missing.append(node)
    return missing


async def _answers(op: Operation, node: NodeRecord) -> bool:
    try:
        await op.transport.probe(op.target(node))
    except (SshError, KeyPairError):
        return False
    return True


def _leaving(op: Operation, found: Sequence[Instance]) -> list[str]:
    """Return instances that were to be terminated, and may not know it yet."""
    ending = {i.id for i in found if i.state is InstanceState.TERMINATING}
    nodes = op.journal.in_state(NodeState.TERMINATING)
    return sorted({node.instance_id for node in nodes} - ending - {""})


def _strays(op: Operation, found: Sequence[Instance]) -> list[str]:
    """Return instances of the cluster that no node has: late ones of old attempts."""
    known = {node.instance_id for node in op.journal.nodes.values()}
    return [
        instance.id
        for instance in found
        if instance.id not in known and instance.state is not InstanceState.TERMINATING
    ]
