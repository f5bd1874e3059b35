"""Repeating what can succeed, with jitter and a budget; failing fast on the rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from aioelasticluster._aio.polling import backoff
from aioelasticluster.errors import (
    ProviderError,
    ThrottledError,
    UnknownOutcomeError,
)
from aioelasticluster.model.events import Event, RequestRetried

T = TypeVar("T")

#: How often a fault on the cloud's side is met with patience before it is raised.
TRANSIENT_TRIES = 6


async def insist(
    ask: Callable[[], Awaitable[T]],
    *,
    request: str,
    cluster: str,
    listen: Callable[[Event], None],
    repeat_unknown: bool = True,
    patience: float = float("inf"),
) -> T:
    """Ask until the cloud answers; the caller owns the deadline.

    Throttling is waited out, for at most patience (seconds); other faults of the
    cloud are met `TRANSIENT_TRIES` times. An unknown outcome is asked again only if
    the request bears repeating.
    """
    pauses, tries = backoff(0.25, 8.0), 0
    deadline = anyio.current_time() + patience
    while True:
        try:
            return await ask()
        except ProviderError as error:
            again = error.retryable or (
                repeat_unknown and isinstance(error, UnknownOutcomeError)
            )
            tries += not isinstance(error, ThrottledError)
            pause = next(pauses)
            late = anyio.current_time() + pause > deadline
            if not again or late or tries >= TRANSIENT_TRIES:
                raise
            listen(
                RequestRetried(
                    cluster=cluster, request=request, reason=str(error), pause=pause
                )
            )
        await anyio.sleep(pause)
