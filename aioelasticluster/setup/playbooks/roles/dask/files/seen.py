"""Waits until the scheduler knows the worker of the given name."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from distributed import Client  # type: ignore[import-not-found]  # a node has it


async def main(name: str) -> None:
    """Return once the scheduler knows the worker."""

    def known(dask_scheduler: Any) -> bool:
        return name in dask_scheduler.aliases

    async with Client(asynchronous=True) as client:
        while True:
            if await client.run_on_scheduler(known):
                return
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
