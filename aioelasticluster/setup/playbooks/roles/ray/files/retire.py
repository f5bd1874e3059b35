"""Drains Ray's nodes of the given names, and prints which those were.

Arguments: how long (seconds) their tasks may take to end, and the names. Without a head
nothing is to be done.
"""

from __future__ import annotations

import os
import sys
import time

from ray._raylet import GcsClient  # type: ignore[import-not-found]  # a node has it
from ray.core.generated import autoscaler_pb2  # type: ignore[import-not-found]

ALIVE = 0
#: The reason that Ray accepts from nodes which are still at work.
REASON = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")


def main(patience: float, names: list[str]) -> list[str]:
    """Drain the nodes, wait until they have ended, and return their names."""
    head = GcsClient(address=os.environ["RAY_ADDRESS"])
    try:
        leaving = alive(head, names)
    except Exception:  # it has no class for "not there"
        return []
    until = int((time.time() + patience) * 1000)
    for node in leaving.values():
        head.drain_node(node.hex(), REASON, "it leaves the cluster", until)
    deadline = time.monotonic() + patience
    while alive(head, names) and time.monotonic() < deadline:
        time.sleep(0.2)
    return [*leaving]


def alive(head: GcsClient, names: list[str]) -> dict[str, bytes]:
    """Return the ids of those nodes that are alive."""
    known = head.get_all_node_info(timeout=10).values()
    return {
        node.node_name: node.node_id
        for node in known
        if node.state == ALIVE and node.node_name in names
    }


if __name__ == "__main__":
    sys.stdout.write("\n".join(main(float(sys.argv[1]), sys.argv[2:])))
