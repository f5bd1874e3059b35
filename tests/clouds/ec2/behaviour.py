"""How EC2 behaves now, and the dice that decide what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.clouds.behaving import Behaving, Dice


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour(Behaving):
    """What a test may change while the cloud runs. Times are in seconds."""

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
    #: After how long running spot instances are reclaimed; 0: never.
    spot_loss: float = 0.0
    #: StateReason code of instances that never run: how many of the next ones (1 or
    #: more), or which share of them (less than 1).
    boot_failures: Mapping[str, float] = field(default_factory=dict)


class Fate(Dice):
    """What goes wrong in this cloud."""

    def __init__(self, behaviour: Behaviour) -> None:
        super().__init__(behaviour)
        self._boot_failures = behaviour.boot_failures

    def of_boot(self) -> str:
        """Return why the next instance will never run, or ""."""
        return self.failure(self._boot_failures)
