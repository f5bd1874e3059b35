"""The token buckets that AWS publishes: requests and resources a second."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.clouds.ec2.refusals import RefusalError

#: How many tokens a bucket holds, and how many it gains a second.
Size = tuple[float, float]

_OWN: Mapping[str, Size] = {
    "RunInstances": (5, 2),
    "StartInstances": (5, 2),
    "TerminateInstances": (100, 5),
    "CreateTags": (100, 10),
}
_MUTATING: Size = (50, 5)
_DESCRIBING: Size = (100, 20)
_UNFILTERED: Size = (50, 10)

#: Calls that are dear without filter and page.
_DEAR = frozenset(
    {
        "DescribeInstances",
        "DescribeInstanceStatus",
        "DescribeSecurityGroups",
        "DescribeVolumes",
    }
)

_RESOURCES: Mapping[str, Size] = {
    "RunInstances": (1000, 2),
    "StartInstances": (1000, 2),
    "StopInstances": (1000, 20),
    "TerminateInstances": (1000, 20),
}


class Bucket:
    """Tokens that come back with time."""

    def __init__(self, size: Size, now: float) -> None:
        self._most, self._refill = size
        self._tokens, self._at = self._most, now

    def take(self, count: float, now: float) -> bool:
        """Take tokens if there are enough, and tell whether there were."""
        grown = self._tokens + (now - self._at) * self._refill
        self._tokens, self._at = min(self._most, grown), now
        if self._tokens < count:
            return False
        self._tokens -= count
        return True


class Buckets:
    """The buckets of one account in one region."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}

    def take_request(self, action: str, parameters: Mapping[str, Any]) -> None:
        """Count a request; refuse it if there were too many."""
        name, size = _kind(action, parameters)
        self._take(f"requests {name}", size, 1)

    def take_resources(self, action: str, count: int) -> None:
        """Count the instances that a request is about."""
        self._take(f"resources {action}", _RESOURCES[action], count)

    def _take(self, name: str, size: Size, count: int) -> None:
        now = self._clock()
        bucket = self._buckets.setdefault(name, Bucket(size, now))
        if not bucket.take(count, now):
            raise RefusalError("RequestLimitExceeded", "Request limit exceeded.")


def _kind(action: str, parameters: Mapping[str, Any]) -> tuple[str, Size]:
    """Return which bucket a request draws on."""
    if action in _OWN:
        return action, _OWN[action]
    if not action.startswith(("Describe", "Get")):
        return "mutating", _MUTATING
    narrow = any(name in parameters for name in ("Filters", "MaxResults"))
    by_id = any(name.endswith(("Ids", "Names")) for name in parameters)
    if action in _DEAR and not narrow and not by_id:
        return "unfiltered", _UNFILTERED
    return "describing", _DESCRIBING
