"""Where a node is, and which moves there are: the table is the machine."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from aioelasticluster.errors import InvalidTransitionError


class NodeState(StrEnum):
    """Where a node is; `ALIVE` answers SSH with its host key, `READY` is set up too."""

    PLANNED = "planned"
    LAUNCHING = "launching"
    BOOTING = "booting"
    ALIVE = "alive"
    READY = "ready"
    PAUSING = "pausing"
    PAUSED = "paused"
    FAILED = "failed"
    TERMINATING = "terminating"
    TERMINATED = "terminated"


class Target(StrEnum):
    """Where a cluster should be: the only state of it that is stored."""

    RUNNING = "running"
    PAUSED = "paused"
    GONE = "gone"


class ClusterState(StrEnum):
    """What the nodes' states and the target amount to; derived, never stored."""

    PLANNED = "planned"
    STARTING = "starting"
    ALIVE = "alive"
    READY = "ready"
    DEGRADED = "degraded"
    PAUSED = "paused"
    STOPPING = "stopping"
    STOPPED = "stopped"


S = NodeState

#: Every legal move. `LAUNCHING → PLANNED`: the order is settled, nothing came of it.
#: `READY → ALIVE`: a repeated set-up failed. `FAILED → LAUNCHING`: another attempt.
NODE_MOVES: Mapping[NodeState, frozenset[NodeState]] = MappingProxyType(
    {
        S.PLANNED: frozenset({S.LAUNCHING, S.FAILED, S.TERMINATED}),
        S.LAUNCHING: frozenset({S.BOOTING, S.PLANNED, S.FAILED, S.TERMINATING}),
        S.BOOTING: frozenset({S.ALIVE, S.FAILED, S.PAUSING, S.PAUSED, S.TERMINATING}),
        S.ALIVE: frozenset({S.READY, S.FAILED, S.PAUSING, S.TERMINATING}),
        S.READY: frozenset({S.ALIVE, S.FAILED, S.PAUSING, S.TERMINATING}),
        S.PAUSING: frozenset({S.PAUSED, S.BOOTING, S.FAILED, S.TERMINATING}),
        S.PAUSED: frozenset({S.BOOTING, S.FAILED, S.TERMINATING}),
        S.FAILED: frozenset({S.LAUNCHING, S.BOOTING, S.TERMINATING, S.TERMINATED}),
        S.TERMINATING: frozenset({S.TERMINATED, S.FAILED}),
        S.TERMINATED: frozenset({S.LAUNCHING}),
    }
)

#: States in which an instance is known to answer.
UP = frozenset({S.ALIVE, S.READY})

#: States in which an instance may exist in the cloud.
LIVE = frozenset({S.LAUNCHING, S.BOOTING, S.PAUSING, S.PAUSED, S.TERMINATING}) | UP


def check_move(name: str, before: NodeState, after: NodeState) -> None:
    """Raise `InvalidTransitionError` unless the table has this move."""
    if after not in NODE_MOVES[before]:
        raise InvalidTransitionError(name, before, after)


def cluster_state(target: Target, nodes: list[NodeState]) -> ClusterState:
    """Derive a cluster's state from its target and its nodes' states."""
    present = set(nodes)
    if target is Target.GONE:
        return ClusterState.STOPPING if present & LIVE else ClusterState.STOPPED
    if present <= {S.PLANNED}:
        return ClusterState.PLANNED
    if target is Target.PAUSED:
        return ClusterState.PAUSED
    if present & {S.LAUNCHING, S.BOOTING, S.PLANNED}:
        return ClusterState.STARTING
    if present <= {S.READY}:
        return ClusterState.READY
    return ClusterState.ALIVE if present <= UP else ClusterState.DEGRADED


def mermaid() -> str:
    """Draw the table as a Mermaid state diagram, for the README."""
    lines = ["stateDiagram-v2", f"    [*] --> {S.PLANNED}"]
    lines += [
        f"    {before} --> {after}"
        for before, moves in NODE_MOVES.items()
        for after in NodeState
        if after in moves
    ]
    return "\n".join([*lines, f"    {S.TERMINATED} --> [*]"])
