"""An instance: what was ordered, and a plan of states that the clock walks through."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.clouds.ec2.addresses import Subnet
from tests.clouds.ec2.behaviour import Behaviour
from tests.clouds.ec2.catalogue import Flavor, Image
from tests.clouds.ec2.security import Group

#: The states that an instance can be in, with their codes.
STATES = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}

#: States in which an instance takes capacity and quota.
OCCUPYING = frozenset({"pending", "running", "shutting-down", "stopping"})

_RECLAIMED = "Server.SpotInstanceTermination"
_BY_USER = "Client.UserInitiatedShutdown"

_MESSAGES = {
    _RECLAIMED: "Spot instance termination",
    _BY_USER: "User initiated shutdown",
    "Client.VolumeLimitExceeded": "Volume limit exceeded",
    "Server.InsufficientInstanceCapacity": (
        "Insufficient capacity available to satisfy the instance request"
    ),
    "Server.InternalError": "Internal error on launch",
}


@dataclass(frozen=True, slots=True)
class Phase:
    """A state from a moment on; `reason` is the code of what led there."""

    at: float
    state: str
    reason: str = ""

    @property
    def message(self) -> str:
        """The reason in words, as EC2 puts it behind the code."""
        return f"{self.reason}: {_MESSAGES.get(self.reason, 'Failed to launch')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPlan:
    """What all instances of one RunInstances call have in common."""

    image: Image
    flavor: Flavor
    subnet: Subnet
    groups: tuple[Group, ...]
    key_name: str = ""
    public_key: str = ""
    user_data: bytes = b""
    token: str = ""
    public: bool = True
    spot: bool = False
    ends_when_shut_down: bool = False
    protected: bool = False
    monitored: bool = False
    placement_group: str = ""
    tenancy: str = "default"
    profile: str = ""
    #: Device name, gigabytes, and whether it ends with the instance.
    volumes: tuple[tuple[str, int, bool], ...] = ()


@dataclass(slots=True)
class Reservation:
    """What one call launched."""

    id: str
    account: str
    instances: list[Instance] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Instance:
    """One instance; its state follows from its phases and the time."""

    id: str
    serial: int
    reservation: Reservation
    index: int
    plan: LaunchPlan
    launched_at: float
    address: str
    interface: str
    volumes: tuple[str, ...]
    spot_request: str = ""
    elastic: str = ""
    host_key: str = ""
    attachment: str = ""
    hidden_until: float = 0.0
    phases: list[Phase] = field(default_factory=list)

    def phase(self, now: float) -> Phase:
        """Return the phase that it is in."""
        for phase in reversed(self.phases):
            if phase.at <= now:
                return phase
        return self.phases[0]

    def state(self, now: float) -> str:
        """Return the state that it is in."""
        return self.phase(now).state

    def runs(self, now: float) -> bool:
        """Tell whether it runs."""
        return self.state(now) == "running"

    def ended(self, now: float) -> bool:
        """Tell whether it is gone for good."""
        return self.state(now) == "terminated"

    @property
    def host_name(self) -> str:
        """The name that it gives itself."""
        return f"ip-{self.address.replace('.', '-')}"

    @property
    def user_data(self) -> bytes:
        """What cloud-init reads."""
        return self.plan.user_data

    @property
    def login_keys(self) -> tuple[str, ...]:
        """The public keys that the cloud lets log in."""
        return (self.plan.public_key,) if self.plan.public_key else ()

    def coming(self, now: float) -> list[Phase]:
        """Return the phases that still lie ahead."""
        return [phase for phase in self.phases if phase.at > now]

    def public_address(self, now: float) -> str:
        """Return the address by which the world reaches it, or ""."""
        state = self.state(now)
        if self.elastic:
            return self.elastic
        return self.address if self.plan.public and state == "running" else ""

    def addresses(self) -> list[str]:
        """Return where its SSH server listens while it runs."""
        return [self.address, *([self.elastic] if self.elastic else [])]

    def boots(self, now: float, behaviour: Behaviour, failure: str) -> None:
        """Plan a launch or a start; `failure` is why it will never run."""
        self.launched_at = now
        up = now + behaviour.boot_seconds
        if failure:
            self._goes(now, Phase(now, "pending"), Phase(up, "terminated", failure))
        else:
            self._goes(now, Phase(now, "pending"), Phase(up, "running"))
            self.may_be_lost(now, behaviour)

    def may_be_lost(self, now: float, behaviour: Behaviour) -> None:
        """Plan when a spot instance is reclaimed, as the cloud behaves now."""
        if not (self.plan.spot and behaviour.spot_loss):
            return
        up = next((step for step in self.phases[::-1] if step.state == "running"), None)
        if up is None or self.phases[-1] is not up:
            return
        lost = max(now, up.at + behaviour.spot_loss)
        self.phases += [
            Phase(lost, "shutting-down", _RECLAIMED),
            Phase(lost + behaviour.stop_seconds, "terminated", _RECLAIMED),
        ]

    def stops(self, now: float, behaviour: Behaviour) -> None:
        """Plan a stop by the user."""
        self._ends(now, behaviour, "stopping", "stopped")

    def terminates(self, now: float, behaviour: Behaviour) -> None:
        """Plan the end; nothing changes for one that is ending already."""
        if self.state(now) not in ("shutting-down", "terminated"):
            self._ends(now, behaviour, "shutting-down", "terminated")

    def _ends(self, now: float, behaviour: Behaviour, first: str, last: str) -> None:
        end = now + behaviour.stop_seconds
        self._goes(now, Phase(now, first, _BY_USER), Phase(end, last, _BY_USER))

    def _goes(self, now: float, *phases: Phase) -> None:
        self.phases = [*(phase for phase in self.phases if phase.at <= now), *phases]


def transition_reason(phase: Phase) -> str:
    """Return how EC2 puts in one line what led to a state."""
    if not phase.reason:
        return ""
    if phase.reason != _BY_USER:
        return phase.message
    return f"User initiated ({datetime.fromtimestamp(phase.at, UTC):%F %T} GMT)"


def occupying(instances: Iterable[Instance], now: float) -> list[Instance]:
    """Return the instances that take capacity and quota."""
    return [one for one in instances if one.state(now) in OCCUPYING]
