"""Values that belong to an event loop, on objects that outlive it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")


class LoopLocal(Generic[T]):
    """Makes one value (a lock, a limiter) for each loop that asks for it."""

    def __init__(self, factory: Callable[[], T]) -> None:
        self._factory = factory
        self._values: WeakKeyDictionary[asyncio.AbstractEventLoop, T] = (
            WeakKeyDictionary()
        )

    def get(self) -> T:
        """Return the running loop's value."""
        loop = asyncio.get_running_loop()
        if (value := self._values.get(loop)) is None:
            value = self._values[loop] = self._factory()
        return value
