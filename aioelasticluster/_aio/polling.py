"""The one poll loop, and the pauses that it makes."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import anyio

T = TypeVar("T")


def backoff(first: float, last: float, *, factor: float = 1.6) -> Iterator[float]:
    """Yield pauses (seconds) from the first to the last, with 20 % of jitter, for ever.

    They grow, or shrink where the first is the longer one: there is nothing to see
    at the beginning.
    """
    pause = first
    while True:
        yield pause * random.uniform(0.8, 1.2)
        grown = min(last, pause * factor)
        pause = grown if first <= last else max(last, pause / factor)


async def poll(
    check: Callable[[], Awaitable[T | None]], *, pauses: Iterator[float]
) -> T:
    """Ask until the answer is not None; the caller owns the deadline."""
    while True:
        if (found := await check()) is not None:
            return found
        await anyio.sleep(next(pauses))
