"""One node at a time: launch it, end it, ask whether it is alive; grow and shrink."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from aioelasticluster.engine.bringup import Bringup
from aioelasticluster.engine.launch import Launch, is_up
from aioelasticluster.engine.operation import Operation
from aioelasticluster.engine.settle import settle
from aioelasticluster.engine.start import rollback
from aioelasticluster.engine.teardown import end_nodes
from aioelasticluster.errors import (
    ConfigurationError,
    ProviderError,
    SshError,
    StopTimeoutError,
)
from aioelasticluster.model.names import fresh_names, index_of
from aioelasticluster.model.records import NodeRecord
from aioelasticluster.model.states import LIVE, UP, NodeState
from aioelasticluster.providers.base import Instance

#: States in which a resize leaves nodes that were there before.
_SETTLED = UP | {
    NodeState.FAILED,
    NodeState.PAUSING,
    NodeState.PAUSED,
    NodeState.TERMINATED,
}


async def launch_one(op: Operation, name: str) -> None:
    """Order one node's instance; return when the cloud took the order.

    A node that has an instance already is left as it is. Raises `ProviderError`.
    """
    await op.check_account()
    await settle(op)
    node = op.journal.node(name)
    if node.state in LIVE:
        return
    refusals: list[ProviderError] = []
    launch = Launch(op=op, failed=lambda _, error: refusals.append(error))
    await op.journal.flush()
    await launch.prepare([node])
    await launch.send(await launch.intend([node]))
    if refusals:
        raise refusals[0]


async def end_one(op: Operation, name: str, *, then: NodeState) -> None:
    """Terminate one node's instance; raises `StopTimeoutError`."""
    await op.check_account()
    node = op.journal.node(name)
    if node.state not in LIVE and not node.instance_id:
        return
    if not await end_nodes(op, [name], [], then=then, timeout=rollback(op)):
        raise StopTimeoutError(op.journal.head.name, (node.instance_id,))


async def ask_one(op: Operation, name: str) -> bool:
    """Tell whether a node answers SSH with its host key; record it if that is new."""
    node = op.journal.node(name)
    try:
        if node.state in UP:
            await op.transport.probe(op.target(node))
            return True
        if node.state is NodeState.BOOTING:
            return await _prove_one(op, node)
    except SshError as error:
        if op.journal.node(name).state is NodeState.BOOTING:
            op.journal.note(name, fault=str(error))
    return False


async def _prove_one(op: Operation, node: NodeRecord) -> bool:
    instance = await _describe_one(op, node)
    if instance is None or not is_up(instance):
        return False
    prover = Bringup(op=op, names=(node.name,), to_launch=(), minimum={})
    await prover.approach(node.name, instance)
    await prover.prove_once(node.name)
    return op.journal.node(node.name).state in UP


async def _describe_one(op: Operation, node: NodeRecord) -> Instance | None:
    ids = frozenset({node.instance_id})
    instances = await op.ask(
        "describe", lambda: op.provider.describe(op.cluster_id, ids)
    )
    return next((i for i in instances if i.id == node.instance_id), None)


async def refresh(op: Operation) -> None:
    """Bring record and cloud together: addresses, and instances that are gone."""
    await op.check_account()
    await settle(op)
    by_id = {instance.id: instance for instance in await op.find()}
    for node in op.journal.in_state(NodeState.BOOTING, *UP):
        instance = by_id.get(node.instance_id)
        if instance is not None and is_up(instance):
            known = [a for a in node.addresses if a in instance.addresses]
            rest = [a for a in instance.addresses if a not in known]
            op.journal.note(
                node.name,
                addresses=(*known, *rest),
                ssh_port=instance.ssh_port,
            )


def grow(op: Operation, kind: str, count: int) -> tuple[str, ...]:
    """Plan so many more nodes of a kind, like its first; return their names."""
    if not count:
        return ()  # the last of its kind may just have left
    spec = first_of(op, kind).spec
    names = islice(fresh_names(kind, op.journal.nodes), count)
    fresh = [NodeRecord(name=name, spec=spec) for name in names]
    op.journal.put_nodes(*fresh)
    return tuple(node.name for node in fresh)


def without_instance(op: Operation, names: Sequence[str]) -> list[str]:
    """Return those of the nodes that have no instance, as far as can be known."""
    return [
        name
        for name in names
        if not op.journal.node(name).instance_id
        and op.journal.node(name).state not in LIVE
    ]


def unfinished(op: Operation, kind: str) -> tuple[str, ...]:
    """Return the nodes of a kind that an operation left on their way when cut off."""
    return tuple(
        node.name
        for node in op.journal.nodes.values()
        if node.kind == kind and node.state not in _SETTLED
    )


def leaving(op: Operation, kind: str, count: int) -> tuple[str, ...]:
    """Return the names of so many nodes of a kind, highest index first."""
    nodes = [node.name for node in op.journal.nodes.values() if node.kind == kind]
    return tuple(sorted(nodes, key=index_of, reverse=True)[:count])


def first_of(op: Operation, kind: str) -> NodeRecord:
    """Return the first node of a kind; raises `ConfigurationError`."""
    for node in op.journal.nodes.values():
        if node.kind == kind:
            return node
    kinds = sorted({node.kind for node in op.journal.nodes.values()})
    raise ConfigurationError(
        "kind",
        kind,
        "the cluster has no node of this kind to take after",
        f"Kinds are: {', '.join(kinds)}; add_node makes new ones",
    )


async def remove(op: Operation, names: Sequence[str]) -> None:
    """Terminate nodes and forget them.

    Raises `NodeNotFoundError` and `StopTimeoutError`.
    """
    for name in names:
        op.journal.node(name)
    gone = await end_nodes(
        op, names, [], then=NodeState.TERMINATED, timeout=rollback(op)
    )
    if not gone:
        ids = tuple(op.journal.nodes[name].instance_id for name in names)
        raise StopTimeoutError(op.journal.head.name, ids)
    op.journal.drop(*names)
    await op.journal.flush()
