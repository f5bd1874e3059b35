"""One poller for an account and region, however many clusters wait for instances.

Nobody runs it: of those who wait, one asks for all, and the next one after it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import anyio

from aioelasticluster._aio.loop_local import LoopLocal
from aioelasticluster.errors import ProviderError

T = TypeVar("T")

Wanted = Mapping[str, frozenset[str]]
Answer = Mapping[str, Sequence[T]]


@dataclass(kw_only=True)
class _Round:
    """One request that is still to be made, and its outcome."""

    wanted: dict[str, frozenset[str]] = field(default_factory=dict)
    outcome: object = None


class Poller:
    """Merges what is asked at about the same time into one request.

    There are at least `interval` seconds between two requests; who comes meanwhile
    takes part in the next.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._sent = float("-inf")
        self._asking = anyio.Lock()
        self._next = _Round()

    async def ask(
        self,
        cluster_id: str,
        ids: frozenset[str],
        request: Callable[[Wanted], Awaitable[Answer[T]]],
    ) -> Sequence[T]:
        """Return a cluster's share of the next answer; raises `ProviderError`.

        `request` is made by whoever comes first for all that are waiting by then; it
        gets the ids by cluster. Cancelled, another one makes it.
        """
        mine = self._next
        mine.wanted[cluster_id] = mine.wanted.get(cluster_id, frozenset()) | ids
        async with self._asking:
            if mine.outcome is None:
                await self._lead(mine, request)
        if isinstance(mine.outcome, ProviderError):
            raise mine.outcome
        answer: Answer[T] = mine.outcome  # type: ignore[assignment]
        return answer.get(cluster_id, ())

    async def _lead(
        self, mine: _Round, request: Callable[[Wanted], Awaitable[Answer[T]]]
    ) -> None:
        due = self._sent + self._interval
        await anyio.sleep(max(0.0, due - anyio.current_time()))
        if self._next is mine:
            self._next = _Round()
        self._sent = anyio.current_time()
        try:
            mine.outcome = await request(mine.wanted)
        except ProviderError as error:
            mine.outcome = error


_all: LoopLocal[dict[Hashable, Poller]] = LoopLocal(dict)


def poller_of(account: Hashable, *, interval: float) -> Poller:
    """Return the running loop's poller for an account in a region."""
    pollers = _all.get()
    if account not in pollers:
        pollers[account] = Poller(interval)
    return pollers[account]
