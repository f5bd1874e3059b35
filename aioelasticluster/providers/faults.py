"""What a test cloud does wrong on purpose, so that callers can be tested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """Faults of `LocalCloudProvider` and `FakeCloudProvider`; the default has none.

    Times are in seconds, names are names of nodes.
    """

    #: Until an instance is up: one figure, or one per node ("" = all others).
    boot_delay: float | Mapping[str, float] = 0.0
    #: How many of the first launch calls are throttled.
    throttle: int = 0
    #: How many instances fit in all; orders are filled in part.
    capacity: int | None = None
    #: For how long a fresh instance is missing from `find` and `describe`.
    list_lag: float = 0.0
    #: Refuse every launch: `unauthorized`, `invalid`, `quota` or `capacity`.
    refuse: str = ""
    #: Nodes whose instance never runs: the cloud reports it failed.
    broken: frozenset[str] = field(default_factory=frozenset)
    #: Nodes whose instance runs but never answers SSH.
    dead: frozenset[str] = field(default_factory=frozenset)
    #: Nodes that show another host key than they were given.
    wrong_host_key: frozenset[str] = field(default_factory=frozenset)
    #: How many of the first launch calls take effect, but lose their answer.
    lost_answers: int = 0

    def delay_of(self, name: str) -> float:
        """Return the boot delay of a node."""
        if isinstance(self.boot_delay, Mapping):
            return self.boot_delay.get(name, self.boot_delay.get("", 0.0))
        return self.boot_delay
