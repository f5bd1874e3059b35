"""How often EC2 may be asked: its published buckets, one set for each account.

Figures: "Request throttling for the Amazon EC2 API" in the EC2 developer guide.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping

from aioelasticluster.errors import ThrottledError
from aioelasticluster.providers.buckets import TokenBucket
from aioelasticluster.providers.repeating import RetryBudget

#: A little slower than EC2 refills, for requests do not travel evenly.
CAUTION = 0.98

#: How long (seconds) a request waits for the limits before it counts as throttled.
PATIENCE = 5.0

#: Requests: at once, and a second. Describe calls and other changes have one each.
REQUESTS: Mapping[str, tuple[float, float]] = {
    "RunInstances": (5, 2),
    "StartInstances": (5, 2),
    "TerminateInstances": (100, 5),
    "StopInstances": (50, 5),
    "CreateTags": (100, 10),
    "Describe": (100, 20),
    "": (50, 5),
}

#: Instances that these requests may touch: at once, and a second.
INSTANCES: Mapping[str, tuple[float, float]] = {
    "RunInstances": (1000, 2),
    "StartInstances": (1000, 2),
    "TerminateInstances": (1000, 20),
    "StopInstances": (1000, 20),
}


class Limits:
    """The buckets of one account in one region, and its budget for repetitions."""

    def __init__(self) -> None:
        self._requests = _buckets(REQUESTS)
        self._instances = _buckets(INSTANCES)
        self.retries = RetryBudget()

    async def admit(self, action: str, instances: int) -> None:
        """Wait until a request about so many instances is within the limits.

        Raises `ThrottledError` if that takes longer than `PATIENCE`: who waits for long
        must not do so in the middle of a request.
        """
        try:
            if (bucket := self._instances.get(action)) is not None:
                await bucket.take(instances, patience=PATIENCE)
        except TimeoutError as fault:
            raise ThrottledError(f"{action}: EC2's limits: {fault}") from fault
        try:
            await self._requests[_family(action)].take(patience=PATIENCE)
        except BaseException as fault:
            self.untouched(action, instances)
            if isinstance(fault, TimeoutError):
                raise ThrottledError(f"{action}: EC2's limits: {fault}") from fault
            raise

    def untouched(self, action: str, instances: int) -> None:
        """Give back what was admitted and did not happen."""
        if (bucket := self._instances.get(action)) is not None:
            bucket.give_back(instances)

    def refused(self, action: str) -> None:
        """Note that EC2 refused a request as one too many: others ask, too."""
        self._requests[_family(action)].empty()


def _buckets(figures: Mapping[str, tuple[float, float]]) -> dict[str, TokenBucket]:
    return {
        action: TokenBucket(burst, rate * CAUTION)
        for action, (burst, rate) in figures.items()
    }


def _family(action: str) -> str:
    """Return under which name an action is counted."""
    if action in REQUESTS:
        return action
    return "Describe" if action.startswith(("Describe", "Get")) else ""


_all: dict[Hashable, Limits] = {}
_all_lock = threading.Lock()


def limits_of(account: Hashable) -> Limits:
    """Return the limits that all handles on an account in a region share."""
    with _all_lock:
        return _all.setdefault(account, Limits())
