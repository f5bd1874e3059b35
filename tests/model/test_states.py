"""The transition table, and what a cluster's nodes amount to."""

from __future__ import annotations

from itertools import combinations, product

import pytest

from aioelasticluster.errors import InvalidTransitionError
from aioelasticluster.model.states import (
    LIVE,
    NODE_MOVES,
    UP,
    ClusterState,
    NodeState,
    Target,
    check_move,
    cluster_state,
    mermaid,
)

S = NodeState
SETS = [list(chosen) for size in range(4) for chosen in combinations(NodeState, size)]


def reachable(start: NodeState) -> set[NodeState]:
    found, left = {start}, [start]
    while left:
        fresh = NODE_MOVES[left.pop()] - found
        found |= fresh
        left += fresh
    return found


def test_the_table_has_every_state() -> None:
    assert set(NODE_MOVES) == set(NodeState)


def test_every_state_can_be_reached_from_planned() -> None:
    assert reachable(S.PLANNED) == set(NodeState)


def test_every_state_can_end_as_terminated() -> None:
    assert all(S.TERMINATED in reachable(state) for state in NodeState)


def test_no_state_moves_to_itself() -> None:
    assert not any(state in moves for state, moves in NODE_MOVES.items())


def test_whatever_lives_can_fail_and_can_be_terminated() -> None:
    for state in LIVE - {S.TERMINATING}:
        assert {S.FAILED, S.TERMINATING} <= NODE_MOVES[state]


def test_ready_comes_only_after_alive() -> None:
    assert [state for state in NodeState if S.READY in NODE_MOVES[state]] == [S.ALIVE]


def test_alive_comes_only_after_booting_or_a_set_up_that_failed() -> None:
    before = {state for state in NodeState if S.ALIVE in NODE_MOVES[state]}
    assert before == {S.BOOTING, S.READY}


@pytest.mark.parametrize(("before", "after"), [*product(NodeState, NodeState)])
def test_a_move_is_legal_if_the_table_has_it(
    before: NodeState, after: NodeState
) -> None:
    if after in NODE_MOVES[before]:
        check_move("compute001", before, after)
        return

    with pytest.raises(InvalidTransitionError) as raised:
        check_move("compute001", before, after)
    assert str(raised.value) == f"compute001 cannot go from {before} to {after}"


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        NODE_MOVES[S.PLANNED] = frozenset()  # type: ignore[index]  # the point


@pytest.mark.parametrize(
    ("target", "nodes", "state"),
    [
        (Target.RUNNING, [], ClusterState.PLANNED),
        (Target.RUNNING, [S.PLANNED, S.PLANNED], ClusterState.PLANNED),
        (Target.RUNNING, [S.LAUNCHING, S.ALIVE], ClusterState.STARTING),
        (Target.RUNNING, [S.BOOTING, S.READY], ClusterState.STARTING),
        (Target.RUNNING, [S.PLANNED, S.READY], ClusterState.STARTING),
        (Target.RUNNING, [S.ALIVE, S.READY], ClusterState.ALIVE),
        (Target.RUNNING, [S.READY, S.READY], ClusterState.READY),
        (Target.RUNNING, [S.READY, S.FAILED], ClusterState.DEGRADED),
        (Target.PAUSED, [S.PAUSED, S.PAUSED], ClusterState.PAUSED),
        (Target.GONE, [S.TERMINATING], ClusterState.STOPPING),
        (Target.GONE, [S.READY], ClusterState.STOPPING),
        (Target.GONE, [S.TERMINATED, S.FAILED], ClusterState.STOPPED),
        (Target.GONE, [], ClusterState.STOPPED),
    ],
)
def test_a_cluster_is_what_its_nodes_amount_to(
    target: Target, nodes: list[NodeState], state: ClusterState
) -> None:
    assert cluster_state(target, nodes) is state


def test_a_cluster_is_up_only_if_all_its_nodes_are() -> None:
    for target, nodes in product(Target, SETS):
        if cluster_state(target, nodes) in (ClusterState.ALIVE, ClusterState.READY):
            assert set(nodes) <= UP


def test_the_order_and_number_of_nodes_does_not_matter() -> None:
    for target, nodes in product(Target, SETS):
        state = cluster_state(target, nodes)
        assert cluster_state(target, nodes[::-1] + nodes) is state


def test_the_diagram_has_every_move_and_no_other() -> None:
    lines = mermaid().splitlines()
    assert lines[0] == "stateDiagram-v2"
    moves = {
        f"    {before} --> {after}"
        for before, afters in NODE_MOVES.items()
        for after in afters
    }
    ends = {"    [*] --> planned", "    terminated --> [*]"}
    assert set(lines[1:]) == moves | ends
