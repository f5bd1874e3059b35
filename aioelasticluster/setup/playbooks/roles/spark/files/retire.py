"""Decommissions Spark's workers at the given addresses, and prints which those were.

Arguments: how long (seconds) their executors may take to end, the master's address, and
those of the workers. Without a master nothing is to be done. Runs on its host, for only
from there it obeys.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

#: A proxy of the host's is for others.
opener = build_opener(ProxyHandler({}))


def main(patience: float, master: str, addresses: list[str]) -> list[str]:
    """Decommission the workers, wait until they are idle, return their addresses."""
    state = Path(os.environ["SPARK_CONF_DIR"]).with_name("master.json")
    ports = json.loads(state.read_text())["ports"]
    pages = f"http://{master}:{ports['page']}"
    try:
        known = [one["host"] for one in workers(pages) if one["state"] == "ALIVE"]
    except OSError:
        return []
    leaving = [address for address in addresses if address in known]
    if leaving:
        hosts = urlencode([("host", address) for address in leaving]).encode()
        opener.open(f"{pages}/workers/kill/", hosts, timeout=10).close()
    elif addresses:
        sys.stderr.write(f"the master knows no worker at {', '.join(addresses)}\n")
    deadline = time.monotonic() + patience
    while busy(pages, leaving) and time.monotonic() < deadline:
        time.sleep(0.2)
    return leaving


def workers(pages: str) -> list[dict[str, object]]:
    """Return what the master knows of its workers."""
    with opener.open(f"{pages}/json/", timeout=10) as answer:
        known: list[dict[str, object]] = json.load(answer)["workers"]
        return known


def busy(pages: str, leaving: list[str]) -> bool:
    """Tell whether one that leaves still is alive, or has an executor."""
    return any(
        worker["host"] in leaving
        and (worker["state"] == "ALIVE" or worker["coresused"])
        for worker in workers(pages)
    )


if __name__ == "__main__":
    sys.stdout.write("\n".join(main(float(sys.argv[1]), sys.argv[2], sys.argv[3:])))
