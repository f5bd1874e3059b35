"""What is asked for and what is known: frozen values, changed by making new ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

from aioelasticluster.model.states import NodeState, Target, check_move


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    """What the user asked for; equal specs are launched in one batch."""

    kind: str
    image_id: str
    image_user: str
    flavor: str
    security_group: str
    image_userdata: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.kind, self.image_id, self.flavor, self.image_user))


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """One node as known and saved.

    `host_keys` are the accepted public keys (OpenSSH text, without comment);
    `fault` is the last thing that went wrong.
    """

    name: str
    spec: NodeSpec
    state: NodeState = NodeState.PLANNED
    instance_id: str = ""
    token: str = ""
    addresses: tuple[str, ...] = ()
    ssh_port: int = 22
    host_keys: tuple[str, ...] = ()
    fault: str = ""

    @property
    def kind(self) -> str:
        """The kind of the node, such as `compute`."""
        return self.spec.kind

    def moved(self, want: NodeState, **facts: Any) -> Self:
        """Return the record after a move; raise `InvalidTransitionError`."""
        if want is not self.state:
            check_move(self.name, self.state, want)
        return replace(self, state=want, **facts)


class OrderState(StrEnum):
    """How far a launch order is known to have come."""

    INTENDED = "intended"  # may or may not have reached the cloud
    DONE = "done"  # its instances are recorded
    VOID = "void"  # settled: nothing of it exists


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """A launch order, saved before it is sent.

    `written` is when it came into its state, in wall-clock time (seconds since the
    epoch): another process must be able to tell whether the cloud's settle window has
    passed since its answer.
    """

    token: str
    zone: str = ""
    names: tuple[str, ...]
    attempt: int = 1
    digest: str = ""
    host_key: str = ""
    written: float = 0.0
    state: OrderState = OrderState.INTENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSettings:
    """Which adapter to rebuild, and from what; never a secret."""

    adapter: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterHead:
    """What is known of a cluster apart from its nodes and orders.

    `plan` is the digest of the nodes that the user's program planned, by which a
    program that runs again recognises its cluster; `owner` is the process that first
    launched it, `kept` says that leaving the block was not to stop it.
    """

    id: str
    name: str
    target: Target = Target.RUNNING
    identity: str = ""
    plan: str = ""
    owner: str = ""
    kept: bool = False
    attempt: int = 0
    created: float = 0.0
    provider: AdapterSettings
    setup: AdapterSettings
    ssh_key_name: str = ""
    ssh_key_pub: str = ""
    ssh_key_priv: str = ""
    ssh_to: str = ""
    ssh_proxy: str = ""
    host_keys: str = "injected"
    host_ca: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRecord:
    """A whole cluster as saved: head, nodes and orders by name and token."""

    head: ClusterHead
    nodes: Mapping[str, NodeRecord] = field(default_factory=dict)
    orders: Mapping[str, OrderRecord] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one transaction writes; absent parts stay as they are."""

    head: ClusterHead | None = None
    nodes: tuple[NodeRecord, ...] = ()
    orders: tuple[OrderRecord, ...] = ()
    removed_nodes: tuple[str, ...] = ()

    def applied(self, record: ClusterRecord | None) -> ClusterRecord:
        """Return the record after this change; `head` is needed for a first one."""
        head = self.head or (record.head if record else None)
        if head is None:
            raise ValueError("the first change of a record must carry its head")
        nodes = dict(record.nodes) if record else {}
        orders = dict(record.orders) if record else {}
        nodes.update((node.name, node) for node in self.nodes)
        orders.update((order.token, order) for order in self.orders)
        for name in self.removed_nodes:
            nodes.pop(name, None)
        return ClusterRecord(head=head, nodes=nodes, orders=orders)
