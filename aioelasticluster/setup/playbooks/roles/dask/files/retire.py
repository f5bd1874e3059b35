"""Retires the scheduler's workers of the given names, and prints which those were.

Their results move to other workers first. Without a scheduler nothing is to be done.
"""

import asyncio
import sys

from distributed import Client  # type: ignore[import-not-found]  # a node has it


async def main() -> None:
    """Retire the workers and wait until they are gone."""
    try:
        client = await Client(asynchronous=True, timeout=10)
    except OSError:
        return
    async with client:
        retired = await client.retire_workers(names=sys.argv[1:], close_workers=True)
    sys.stdout.write("\n".join(str(worker["name"]) for worker in retired.values()))


asyncio.run(main())
