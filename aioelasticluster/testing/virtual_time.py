"""An event loop in which waiting takes no time: a deadline of 600 s in milliseconds.

Give it to anyio's pytest plugin:

    @pytest.fixture
    def anyio_backend():
        return "asyncio", {"loop_factory": VirtualTimeLoop}

It is for code that only waits for timers; real sockets, threads and processes go on
at their own pace and would be left behind.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Mapping
from typing import Any

#: Real time (seconds) after which waiting for nothing counts as a deadlock.
DEADLOCK = 5.0


class _JumpingSelector(selectors.BaseSelector):
    """Instead of waiting for the next timer, moves the clock there."""

    def __init__(self) -> None:
        self.now = 0.0
        self._real = selectors.DefaultSelector()

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            if not (ready := self._real.select(DEADLOCK)):
                raise RuntimeError("deadlock: nothing is left that could happen")
            return ready
        ready = self._real.select(0)
        if not ready and timeout > 0:
            self.now += timeout
        return ready

    def register(self, *args: Any, **kw: Any) -> selectors.SelectorKey:
        return self._real.register(*args, **kw)

    def unregister(self, *args: Any) -> selectors.SelectorKey:
        return self._real.unregister(*args)

    def modify(self, *args: Any, **kw: Any) -> selectors.SelectorKey:
        return self._real.modify(*args, **kw)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer whenever nothing else is to do."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        self._made = time.time()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return virtual seconds since the loop was made."""
        return self._jumping.now

    def wall_clock(self) -> float:
        """Return seconds since the epoch, as if the jumps had been waited for."""
        return self._made + self._jumping.now
