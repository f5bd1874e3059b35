"""Waits on a worker's host until the scheduler knows the worker.

Arguments: how long (seconds), the worker's name, and the folder of its log and state.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from distributed import Client  # type: ignore[import-not-found]  # a node has it


async def main(patience: float, name: str, folder: Path) -> str:
    """Return what is wrong, nothing if the scheduler knows the worker."""

    def known(dask_scheduler: Any) -> bool:
        return name in dask_scheduler.aliases

    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    async with Client(asynchronous=True, timeout=patience) as client:
        while not await client.run_on_scheduler(known):
            if not runs(folder):
                return "the worker has ended"
            if loop.time() > deadline:
                return "the scheduler does not see the worker"
            await asyncio.sleep(0.2)
    return ""


def runs(folder: Path) -> bool:
    """Tell whether the process that was started still exists."""
    known = json.loads((folder / "worker.json").read_text())
    if unit := known.get("unit"):
        asked = ["systemctl", "is-active", "--quiet", unit]
        return subprocess.run(asked, check=False).returncode == 0
    try:
        os.kill(known["pid"], 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    folder = Path(sys.argv[3])
    if wrong := asyncio.run(main(float(sys.argv[1]), sys.argv[2], folder)):
        log = (folder / "worker.log").read_text(errors="replace").splitlines()
        sys.exit("\n".join([f"{wrong}; its log ends:", *log[-4:]]))
