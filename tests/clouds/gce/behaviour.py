"""How Compute Engine behaves now, and the dice that decide what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.clouds.behaving import Behaving, Dice

#: The methods that make instances; failures without a method's name are theirs.
MAKING = frozenset(
    {"instances.insert", "instances.bulkInsert", "regionInstances.bulkInsert"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour(Behaving):
    """What a test may change while the cloud runs. Times are in seconds.

    `actions` are method ids such as `instances.bulkInsert`, and `token`; what has no
    actions befalls all methods, but no requests for tokens.
    """

    #: How long an instance takes until it runs: half provisioning, half staging.
    boot_seconds: float = 0.2
    #: How long stopping, suspending and deleting take.
    stop_seconds: float = 0.2
    #: How long operations take, at least; deletions take `stop_seconds`.
    operation_seconds: float = 0.1
    #: How long `wait` waits at most, before it answers that nothing is done yet.
    wait_seconds: float = 120.0
    #: How long a fresh instance is missing in lists.
    list_lag: float = 0.0
    #: How long after it runs an instance's serial port shows its host keys.
    console_seconds: float = 0.5
    #: How long after it runs an instance has written its guest attributes.
    guest_seconds: float = 0.5
    #: How long a token is good for.
    token_seconds: float = 3600.0
    #: The shortest time that an instance's run may be limited to.
    shortest_run: float = 30.0
    #: How many instances fit into "zone/type", "zone" or "" (all); others: no limit.
    capacity: Mapping[str, int] = field(default_factory=dict)
    #: How many instances a project may have that are not stopped or suspended.
    quota: int = 10000
    #: Whether what exceeds the quota is refused at once, or in its operation.
    quota_early: bool = True
    #: How many requests a project may send in a window; 0: any number.
    rate_limit: int = 0
    #: The length of these windows; they begin at multiples of it.
    rate_window: float = 60.0
    #: How many operations of a project may be under way; 0: any number.
    operations_limit: int = 0
    #: Zones that cannot be asked.
    unreachable: tuple[str, ...] = ()
    #: Whether aggregated lists leave such zones out without being asked for partial
    #: success; otherwise they fail then.
    partial_unasked: bool = True
    #: Whether a bulk operation that made enough instances, but not all, names errors.
    partial_errors: bool = False
    #: Error codes of operations: how many of the next ones (1 or more), or which share
    #: of them (less than 1). "CODE" befalls single instances that are to be made,
    #: "method/CODE" the operations of another method.
    operation_errors: Mapping[str, float] = field(default_factory=dict)
    #: Whether it is still known which request an id was of.
    remembers: bool = True
    #: After how long running spot instances are preempted; 0: never.
    spot_loss: float = 0.0


class Fate(Dice):
    """What goes wrong in this cloud."""

    def __init__(self, behaviour: Behaviour) -> None:
        super().__init__(behaviour)
        self._amounts: dict[str, dict[str, float]] = {}
        for name, amount in behaviour.operation_errors.items():
            method, _, code = name.rpartition("/")
            self._amounts.setdefault(method, {})[code] = amount

    def of_operation(self, method: str) -> str:
        """Return the code with which the next operation of a method fails, or "".

        For methods that make instances: the next instance.
        """
        amounts = self._amounts.get("" if method in MAKING else method, {})
        prefix = "" if method in MAKING else f"{method}/"
        found = self.failure({f"{prefix}{code}": n for code, n in amounts.items()})
        return found.removeprefix(prefix)
