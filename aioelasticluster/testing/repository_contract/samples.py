"""Records with something in every field."""

from __future__ import annotations

from aioelasticluster.model.records import (
    AdapterSettings,
    Change,
    ClusterHead,
    NodeRecord,
    NodeSpec,
    OrderRecord,
    OrderState,
)
from aioelasticluster.model.states import NodeState

SPEC = NodeSpec(
    kind="compute",
    image_id="img-1",
    image_user="ubuntu",
    flavor="small",
    security_group="default",
    image_userdata="#cloud-config\n# naïve ☃\n",
    options={"spot": True, "price": 0.25, "zones": ["a", "b"], "none": None},
)


def head_of(name: str = "demo", identity: str = "here") -> ClusterHead:
    """Return the head of a cluster."""
    provider = AdapterSettings(adapter="local", settings={"deep": {"list": [1, None]}})
    setup = AdapterSettings(adapter="ansible")
    return ClusterHead(
        id=f"id-of-{name}",
        name=name,
        identity=identity,
        created=1700000000.25,
        attempt=3,
        provider=provider,
        setup=setup,
    )


def node_of(name: str, instance_id: str = "") -> NodeRecord:
    """Return a node of which much is known."""
    return NodeRecord(
        name=name,
        spec=SPEC,
        state=NodeState.BOOTING,
        instance_id=instance_id,
        token="0123abcd",
        addresses=("10.0.0.1", "2001:db8::1"),
        ssh_port=2222,
        host_keys=("ssh-ed25519 AAAA", "ssh-ed25519 BBBB"),
        fault="no route to host",
    )


def order_of(token: str, state: OrderState = OrderState.INTENDED) -> OrderRecord:
    """Return a launch order."""
    names = ("compute001", "compute002")
    return OrderRecord(token=token, zone="a", names=names, written=1.5, state=state)


def whole(name: str = "demo") -> Change:
    """Return a change that makes a record with all that there can be."""
    return Change(
        head=head_of(name),
        nodes=(node_of("compute001", "i-1"), node_of("compute002", "i-2")),
        orders=(order_of("t1"), order_of("t2", OrderState.DONE)),
    )
