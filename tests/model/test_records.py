"""Records change by making new ones."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from aioelasticluster.errors import InvalidTransitionError
from aioelasticluster.model.records import (
    AdapterSettings,
    Change,
    ClusterHead,
    ClusterRecord,
    NodeRecord,
    NodeSpec,
    OrderRecord,
    OrderState,
)
from aioelasticluster.model.states import NodeState

SPEC = NodeSpec(
    kind="compute", image_id="i", image_user="u", flavor="f", security_group="g"
)
NODE = NodeRecord(name="compute001", spec=SPEC)
HEAD = ClusterHead(
    id="1",
    name="demo",
    provider=AdapterSettings(adapter="local"),
    setup=AdapterSettings(adapter="none"),
)
ORDER = OrderRecord(token="t", names=("compute001",))


def test_records_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        NODE.state = NodeState.ALIVE  # type: ignore[misc]  # the point


def test_a_move_makes_a_new_record_with_new_facts() -> None:
    moved = NODE.moved(NodeState.LAUNCHING, token="t")
    assert (NODE.state, NODE.token) == (NodeState.PLANNED, "")
    assert (moved.state, moved.token, moved.kind) == (
        NodeState.LAUNCHING,
        "t",
        "compute",
    )


def test_a_move_that_the_table_does_not_have_is_a_bug() -> None:
    with pytest.raises(InvalidTransitionError):
        NODE.moved(NodeState.READY)


def test_new_facts_may_come_without_a_move() -> None:
    assert NODE.moved(NodeState.PLANNED, fault="x") == replace(NODE, fault="x")


def test_equal_specs_are_one_batch() -> None:
    assert len({SPEC, replace(SPEC), replace(SPEC, options={})}) == 1
    assert len({SPEC, replace(SPEC, flavor="large")}) == 2
    assert replace(SPEC, options={"spot": True}) != SPEC


def test_the_first_change_carries_the_head() -> None:
    with pytest.raises(ValueError, match="head"):
        Change(nodes=(NODE,)).applied(None)
    assert Change(head=HEAD).applied(None) == ClusterRecord(head=HEAD)


def test_a_change_leaves_what_it_does_not_name() -> None:
    record = Change(head=HEAD, nodes=(NODE,), orders=(ORDER,)).applied(None)
    other = replace(NODE, name="compute002")
    after = Change(nodes=(other,)).applied(record)
    assert after.nodes == {"compute001": NODE, "compute002": other}
    assert (after.head, after.orders) == (HEAD, {"t": ORDER})
    assert list(record.nodes) == ["compute001"]  # the record before is as it was


def test_a_change_replaces_what_it_names() -> None:
    record = Change(head=HEAD, nodes=(NODE,), orders=(ORDER,)).applied(None)
    done = replace(ORDER, state=OrderState.DONE)
    head = replace(HEAD, attempt=2)
    assert Change(head=head, orders=(done,)).applied(record) == ClusterRecord(
        head=head, nodes={"compute001": NODE}, orders={"t": done}
    )


def test_a_removal_counts_more_than_a_write() -> None:
    change = Change(head=HEAD, nodes=(NODE,), removed_nodes=("compute001", "x"))
    assert change.applied(None).nodes == {}
