"""Wall-clock time, for what other processes must be able to judge.

Everything else is timed by the loop's own clock.
"""

from __future__ import annotations

import asyncio
import time


def wall_clock() -> float:
    """Return seconds since the epoch; a test loop may have a wall clock of its own."""
    clock = getattr(asyncio.get_running_loop(), "wall_clock", time.time)
    return float(clock())
