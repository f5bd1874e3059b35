"""Waits until the master's JSON page knows the worker at the given address."""

from __future__ import annotations

import json
import sys
import time
from urllib.request import ProxyHandler, build_opener

#: A proxy of the host's is for others.
opener = build_opener(ProxyHandler({}))


def workers(page: str) -> set[str]:
    """Return the addresses of the workers that the master has alive."""
    with opener.open(page, timeout=5) as answer:
        known = json.load(answer)["workers"]
    return {worker["host"] for worker in known if worker["state"] == "ALIVE"}


def main(page: str, address: str) -> None:
    """Return once the master knows the worker."""
    while True:
        try:
            if address in workers(page):
                return
        except (OSError, ValueError) as fault:
            sys.stderr.write(f"{page}: {fault}\n")
        time.sleep(0.5)


if __name__ == "__main__":
    main(*sys.argv[1:])
