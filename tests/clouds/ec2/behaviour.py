"""How the cloud behaves now, and the dice that decide what goes wrong."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What a test may change while the cloud runs. Times are in seconds.

    A share is the probability of a fault for each request of `actions` (empty: any),
    together at most `times` faults (0: no limit). `reset`, `truncate`, `abort` and
    `hang` come after the request was carried out; `throttle` and `unavailable`
    before.
    """

    #: Added to each request: half before it is carried out, half after.
    latency: float = 0.0
    #: How long an instance is pending.
    boot_seconds: float = 0.2
    #: How long stopping, and shutting down, takes.
    stop_seconds: float = 0.2
    #: How long a fresh instance can neither be listed nor named.
    list_lag: float = 0.0
    #: How long terminated instances are still listed.
    terminated_listed: float = 3600.0
    #: How long after it runs an instance's console shows its host key.
    console_seconds: float = 0.5
    #: Whether AWS's published token buckets hold.
    throttle: bool = False
    #: How many instances fit into "zone/type", "zone" or "" (all); others: no limit.
    capacity: Mapping[str, int] = field(default_factory=dict)
    #: How many instances an account may have that are not stopped or terminated.
    quota: int = 10000
    #: How many elastic addresses an account may have.
    address_quota: int = 5
    throttle_share: float = 0.0
    unavailable_share: float = 0.0
    #: The connection is reset.
    reset_share: float = 0.0
    #: The body is cut short, in a complete HTTP message.
    truncate_share: float = 0.0
    #: The connection is closed in the middle of the body.
    abort_share: float = 0.0
    #: No answer until the client leaves.
    hang_share: float = 0.0
    actions: tuple[str, ...] = ()
    times: int = 0
    seed: int = 0
    #: After how long running spot instances are reclaimed; 0: never.
    spot_loss: float = 0.0
    #: StateReason code of instances that never run: how many of the next ones (1 or
    #: more), or which share of them (less than 1).
    boot_failures: Mapping[str, float] = field(default_factory=dict)

    def changed(self, changes: Mapping[str, Any]) -> Behaviour:
        """Return the behaviour with some values changed; raise `ValueError`."""
        known = {part.name: getattr(self, part.name) for part in fields(self)}
        given = dict(changes)
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"there is no behaviour {name}")
            given[name] = _checked(name, value, known[name])
        return replace(self, **given)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)


def _checked(name: str, value: Any, example: Any) -> Any:
    """Return a value in the type that a behaviour has; raise `ValueError`."""
    if isinstance(example, tuple) and isinstance(value, (list, tuple)):
        return tuple(map(str, value))
    if isinstance(example, bool) or isinstance(value, bool):
        fits = isinstance(example, bool) and isinstance(value, bool)
    elif isinstance(example, float):
        fits = isinstance(value, (int, float)) and value >= 0
    else:
        fits = isinstance(value, type(example) if example != {} else Mapping)
    if not fits:
        raise ValueError(f"{name} cannot be {value!r}")
    return value


_BEFORE = ("throttle", "unavailable")
_AFTER = ("reset", "truncate", "abort", "hang")


class Fate:
    """Draws what goes wrong from one seed, and counts it."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._random = random.Random(behaviour.seed)
        self._faults = 0
        self._failed_boots: dict[str, int] = {}

    def before(self, action: str) -> str:
        """Return what happens to a request instead of being carried out, or ""."""
        return self._drawn(_BEFORE, action)

    def after(self, action: str) -> str:
        """Return what happens to the answer of a request, or ""."""
        return self._drawn(_AFTER, action)

    def of_boot(self) -> str:
        """Return why the next instance will never run, or ""."""
        for code, amount in self._behaviour.boot_failures.items():
            failed = self._failed_boots.get(code, 0)
            if failed < amount if amount >= 1 else self._random.random() < amount:
                self._failed_boots[code] = failed + 1
                return code
        return ""

    def _drawn(self, names: tuple[str, ...], action: str) -> str:
        now = self._behaviour
        if (now.actions and action not in now.actions) or 0 < now.times <= self._faults:
            return ""
        for name in names:
            share = getattr(now, f"{name}_share")
            if share and self._random.random() < share:
                self._faults += 1
                return name
        return ""
