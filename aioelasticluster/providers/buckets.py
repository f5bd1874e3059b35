"""Client-side token buckets: wait for what the cloud would refuse.

They are kept for each account and region of this process, whatever event loop asks.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import anyio


class TokenBucket:
    """Holds at most `burst` tokens and gains `rate` of them a second; thread-safe.

    It may be overdrawn: who takes more than there is waits until it is refilled, in
    the order in which they came. Its clock is the process's, for loops come and go.
    """

    def __init__(
        self, burst: float, rate: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.burst = burst
        self.rate = rate
        self._clock = clock
        self._level = burst
        self._updated = clock()
        self._lock = threading.Lock()

    async def take(self, amount: float = 1.0, *, patience: float = math.inf) -> None:
        """Take tokens when they are there; cancelled meanwhile, take none.

        Raises `TimeoutError` at once if that would take more than patience (seconds).
        """
        if delay := self._reserve(amount):
            if delay > patience:
                self.give_back(amount)
                raise TimeoutError(f"{delay:.0f} s until there are enough")
            try:
                await anyio.sleep(delay)
            except BaseException:
                self.give_back(amount)
                raise

    def give_back(self, amount: float) -> None:
        """Return tokens that were not needed."""
        with self._lock:
            self._level = min(self.burst, self._level + amount)

    def empty(self) -> None:
        """Note that the cloud's own bucket is empty: others drew on it, too."""
        with self._lock:
            self._refill()
            self._level = min(self._level, 0.0)

    def _reserve(self, amount: float) -> float:
        """Take tokens and return for how long (seconds) they are still missing."""
        with self._lock:
            self._refill()
            self._level -= amount
            return max(0.0, -self._level / self.rate)

    def _refill(self) -> None:
        now = self._clock()
        gained = (now - self._updated) * self.rate
        self._level = min(self.burst, self._level + gained)
        self._updated = now
