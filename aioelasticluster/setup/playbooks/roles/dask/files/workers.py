"""Prints the names of the scheduler's workers, once it sees those that are awaited.

Arguments: how long to wait (seconds), and the names, in one word.
"""

import asyncio
import sys

from distributed import Client  # type: ignore[import-not-found]  # a node has it


async def main() -> None:
    """Wait for the workers, but not for ever: what is seen then is told."""
    patience, awaited = float(sys.argv[1]), set(sys.argv[2].split())
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    async with Client(asynchronous=True, timeout=patience) as client:
        while True:
            workers = (await client.scheduler.identity())["workers"].values()
            seen = {str(worker["name"]) for worker in workers}
            if awaited <= seen or loop.time() > deadline:
                break
            await asyncio.sleep(0.1)
    sys.stdout.write("\n".join(sorted(seen)))


asyncio.run(main())
