"""Records to plain data and back: what every repository stores.

A reader refuses a schema newer than its own rather than guess.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from aioelasticluster.errors import RepositoryError
from aioelasticluster.model.records import (
    AdapterSettings,
    ClusterHead,
    ClusterRecord,
    NodeRecord,
    NodeSpec,
    OrderRecord,
    OrderState,
)
from aioelasticluster.model.states import NodeState, Target

SCHEMA = 1


def head_to_plain(head: ClusterHead) -> dict[str, Any]:
    """Return the head as data that JSON can hold."""
    plain = _shallow(head)
    plain["provider"] = _shallow(head.provider)
    plain["setup"] = _shallow(head.setup)
    return {"schema": SCHEMA, **plain}


def head_from_plain(plain: Mapping[str, Any]) -> ClusterHead:
    """Read a head; raise `RepositoryError` if it is newer than this program."""
    data = dict(plain)
    if (schema := data.pop("schema", None)) != SCHEMA:
        raise RepositoryError(
            f"the record has schema {schema!r}, this version reads {SCHEMA}: "
            "use the version of aioelasticluster that wrote it, or a newer one"
        )
    data["target"] = Target(data["target"])
    data["provider"] = AdapterSettings(**data["provider"])
    data["setup"] = AdapterSettings(**data["setup"])
    return ClusterHead(**data)


def node_to_plain(node: NodeRecord) -> dict[str, Any]:
    """Return a node as data that JSON can hold."""
    plain = _shallow(node)
    plain["spec"] = _shallow(node.spec)
    return plain


def node_from_plain(plain: Mapping[str, Any]) -> NodeRecord:
    """Read a node."""
    data = dict(plain)
    data["spec"] = NodeSpec(**data["spec"])
    data["state"] = NodeState(data["state"])
    for name in ("addresses", "host_keys"):
        data[name] = tuple(data[name])
    return NodeRecord(**data)


def order_to_plain(order: OrderRecord) -> dict[str, Any]:
    """Return an order as data that JSON can hold."""
    return _shallow(order)


def order_from_plain(plain: Mapping[str, Any]) -> OrderRecord:
    """Read an order."""
    data = dict(plain)
    data["names"] = tuple(data["names"])
    data["state"] = OrderState(data["state"])
    return OrderRecord(**data)


def record_to_plain(record: ClusterRecord) -> dict[str, Any]:
    """Return a whole record as data that JSON can hold."""
    return {
        "head": head_to_plain(record.head),
        "nodes": [node_to_plain(node) for node in record.nodes.values()],
        "orders": [order_to_plain(order) for order in record.orders.values()],
    }


def record_from_plain(plain: Mapping[str, Any]) -> ClusterRecord:
    """Read a whole record; raise `RepositoryError` for what is not one."""
    try:
        # The head first: it knows whether the rest can be understood.
        head = head_from_plain(plain["head"])
        nodes = [node_from_plain(node) for node in plain["nodes"]]
        orders = [order_from_plain(order) for order in plain["orders"]]
        return ClusterRecord(
            head=head,
            nodes={node.name: node for node in nodes},
            orders={order.token: order for order in orders},
        )
    except (KeyError, TypeError, ValueError) as fault:
        raise RepositoryError(f"this is not a cluster's record: {fault}") from fault


def plan_digest(nodes: Iterable[NodeRecord]) -> str:
    """Return a digest that two plans share only if they ask for the same nodes."""
    plan = sorted((node.name, _shallow(node.spec)) for node in nodes)
    text = json.dumps(plan, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def check_plain(field: str, value: object) -> None:
    """Raise `TypeError` unless JSON can hold the value and give it back unchanged."""
    try:
        plain = json.loads(json.dumps(value)) == value
    except (TypeError, ValueError, RecursionError):
        plain = False
    if not plain:
        raise TypeError(f"{field} must be plain data, not {value!r}")


def _shallow(value: Any) -> dict[str, Any]:
    """Return a record's fields, tuples as lists and enums as their text."""
    plain: dict[str, Any] = {}
    for field in fields(value):
        item = getattr(value, field.name)
        if isinstance(item, tuple):
            item = list(item)
        elif isinstance(item, NodeState | Target | OrderState):
            item = str(item)
        elif isinstance(item, Mapping):
            item = dict(item)
        plain[field.name] = item
    return plain
