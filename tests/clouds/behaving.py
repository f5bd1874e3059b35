"""How a test cloud misbehaves when it is told to, whatever cloud it stands for."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaving:
    """What a test may change while any cloud runs. Times are in seconds.

    A share is the probability of a fault for each request of `actions` (empty: any),
    together at most `times` faults (0: no limit). `reset`, `truncate`, `abort` and
    `hang` come after the request was carried out; `throttle` and `unavailable`
    before.
    """

    #: Added to each request: half before it is carried out, half after.
    latency: float = 0.0
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

    def changed(self, changes: Mapping[str, Any]) -> Self:
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
    elif isinstance(example, Mapping):
        fits = isinstance(value, Mapping)
    else:
        fits = isinstance(value, type(example))
    if not fits:
        raise ValueError(f"{name} cannot be {value!r}")
    return value


_BEFORE = ("throttle", "unavailable")
_AFTER = ("reset", "truncate", "abort", "hang")


class Dice:
    """Draws what goes wrong from one seed, and counts it."""

    def __init__(self, behaviour: Behaving) -> None:
        self._behaving = behaviour
        self._random = random.Random(behaviour.seed)
        self._faults = 0
        self._failed: dict[str, int] = {}

    def before(self, action: str) -> str:
        """Return what happens to a request instead of being carried out, or ""."""
        return self._drawn(_BEFORE, action)

    def after(self, action: str) -> str:
        """Return what happens to the answer of a request, or ""."""
        return self._drawn(_AFTER, action)

    def failure(self, amounts: Mapping[str, float]) -> str:
        """Return which failure comes next, or "".

        An amount is how many of the next ones (1 or more) fail so, or which share of
        them (less than 1).
        """
        for code, amount in amounts.items():
            failed = self._failed.get(code, 0)
            if failed < amount if amount >= 1 else self._random.random() < amount:
                self._failed[code] = failed + 1
                return code
        return ""

    def _drawn(self, names: tuple[str, ...], action: str) -> str:
        now = self._behaving
        if (now.actions and action not in now.actions) or 0 < now.times <= self._faults:
            return ""
        for name in names:
            share = getattr(now, f"{name}_share")
            if share and self._random.random() < share:
                self._faults += 1
                return name
        return ""
