"""A limit that minds the loop: as much at a time as leaves it to others, too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

#: How long (seconds) one turn of the loop may take until there is too much of it.
HELD = 0.02

#: How many may go at first, and always.
FIRST, LEAST = 8, 2


class Pace:
    """Lets as many go at a time as the loop bears, and never more than `most`.

    What waits for the network may be many; what waits for the processor may not, or
    one turn of the loop would be as long as all of it. Nobody need know beforehand
    which it is: whoever goes sees how long a turn takes at that moment.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limiter = anyio.CapacityLimiter(min(FIRST, most))

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until one more may go, for the block."""
        place = object()  # not the task: it may hold several
        await self._limiter.acquire_on_behalf_of(place)
        try:
            await self._adjust()
            yield
        finally:
            self._limiter.release_on_behalf_of(place)

    async def _adjust(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.sleep(0)
        now = int(self._limiter.total_tokens)
        if loop.time() - began > HELD:
            least = min(LEAST, self._most)
            self._limiter.total_tokens = max(least, now * 3 // 4)
        else:
            self._limiter.total_tokens = min(self._most, now + 1)
