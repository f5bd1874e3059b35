"""Waits until the head knows the node of the given name."""

from __future__ import annotations

import os
import sys
import time

from ray._raylet import GcsClient  # type: ignore[import-not-found]  # a node has it

ALIVE = 0


def nodes() -> set[str]:
    """Return the names of the nodes that the head has alive."""
    head = GcsClient(address=os.environ["RAY_ADDRESS"])
    known = head.get_all_node_info(timeout=5).values()
    return {node.node_name for node in known if node.state == ALIVE}


def main(name: str) -> None:
    """Return once the head knows the node."""
    while True:
        try:
            if name in nodes():
                return
        except Exception as fault:  # it has no class for "not there yet"
            sys.stderr.write(f"{fault}\n")
        time.sleep(0.5)


if __name__ == "__main__":
    main(sys.argv[1])
