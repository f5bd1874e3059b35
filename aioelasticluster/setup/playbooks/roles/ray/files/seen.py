"""Waits on a host until the head knows the host's node.

Arguments: how long (seconds), the node's name, and its log and state without suffix.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from ray._raylet import GcsClient  # type: ignore[import-not-found]  # a node has it

ALIVE = 0


def main(patience: float, name: str, base: Path) -> str:
    """Return what is wrong, nothing if the head knows the node."""
    deadline = time.monotonic() + patience
    while True:
        try:
            if name in nodes():
                return ""
            wrong = "the head does not see the node"
        except Exception as fault:  # it has no class for "not there yet"
            wrong = f"the head does not answer: {fault}"
        if not runs(base.with_suffix(".json")):
            return "the node has ended"
        if time.monotonic() > deadline:
            return wrong
        time.sleep(0.5)


def nodes() -> set[str]:
    """Return the names of the nodes that the head has alive."""
    head = GcsClient(address=os.environ["RAY_ADDRESS"])
    known = head.get_all_node_info(timeout=5).values()
    return {node.node_name for node in known if node.state == ALIVE}


def runs(state: Path) -> bool:
    """Tell whether the process that was started still exists."""
    known = json.loads(state.read_text())
    if unit := known.get("unit"):
        asked = ["systemctl", "is-active", "--quiet", unit]
        return subprocess.run(asked, check=False).returncode == 0
    try:
        os.kill(known["pid"], 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    base = Path(sys.argv[3])
    if wrong := main(float(sys.argv[1]), sys.argv[2], base):
        log = base.with_suffix(".log").read_text(errors="replace").splitlines()
        sys.exit("\n".join([f"{wrong}; its log ends:", *log[-8:]]))
