"""Requests that bear repeating: sent again after faults on the cloud's side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from aioelasticluster._aio.polling import backoff
from aioelasticluster.errors import ProviderError, TransientError, UnknownOutcomeError

T = TypeVar("T")

#: How often one request is sent before its caller hears of it.
TRIES = 4

#: Shortest and longest pause (seconds) between two of them.
PAUSES = (0.2, 3.0)

#: Repetitions at once, and how many answered requests earn another: a cloud in trouble
#: is not asked several times for everything.
BUDGET, EARNED = 50.0, 0.2


class RetryBudget:
    """How many repetitions an account's requests have left."""

    def __init__(self) -> None:
        self._left = BUDGET

    def answered(self) -> None:
        """Note that a request was answered: the cloud is well."""
        self._left = min(BUDGET, self._left + EARNED)

    def take(self) -> bool:
        """Take one repetition out of the budget; False: it is spent."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


async def repeated(send: Callable[[], Awaitable[T]], budget: RetryBudget) -> T:
    """Send a request until it is answered; raises a `ProviderError`.

    It must bear repeating: a lost answer is no more than a fault here.
    """
    pauses = backoff(*PAUSES)
    for left in reversed(range(TRIES)):
        try:
            answer = await send()
        except UnknownOutcomeError as error:
            fault: ProviderError = TransientError(error.message)
            fault.__cause__ = error
        except ProviderError as error:
            fault = error
        else:
            budget.answered()
            return answer
        if not (fault.retryable and left and budget.take()):
            raise fault
        await anyio.sleep(next(pauses))
    raise AssertionError("the last try returns or raises")
