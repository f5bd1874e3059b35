"""Waits on a worker's host until the master knows the worker.

Arguments: how long (seconds), the master's JSON page, the worker's address, and its log
and state without suffix.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

#: A proxy of the host's is for others.
opener = build_opener(ProxyHandler({}))


def main(patience: float, page: str, address: str, base: Path) -> str:
    """Return what is wrong, nothing if the master knows the worker."""
    deadline = time.monotonic() + patience
    while True:
        try:
            if address in workers(page):
                return ""
            wrong = "the master does not see the worker"
        except (OSError, ValueError) as fault:
            wrong = f"the master's page {page} does not answer: {fault}"
        if not runs(base.with_suffix(".json")):
            return "the worker has ended"
        if time.monotonic() > deadline:
            return wrong
        time.sleep(0.5)


def workers(page: str) -> set[str]:
    """Return the addresses of the workers that the master has alive."""
    with opener.open(page, timeout=5) as answer:
        known = json.load(answer)["workers"]
    return {worker["host"] for worker in known if worker["state"] == "ALIVE"}


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
    base = Path(sys.argv[4])
    if wrong := main(float(sys.argv[1]), sys.argv[2], sys.argv[3], base):
        log = base.with_suffix(".log").read_text(errors="replace").splitlines()
        sys.exit("\n".join([f"{wrong}; its log ends:", *log[-8:]]))
