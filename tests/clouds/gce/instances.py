"""An instance: what was ordered, and a plan of states that the clock walks through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.clouds.gce.behaviour import Behaviour
from tests.clouds.gce.catalogue import ZONES, Image, MachineType

#: The state of an instance that is there no more; the API never shows it.
GONE = "GONE"

#: States in which an instance takes capacity and quota.
OCCUPYING = frozenset({"PROVISIONING", "STAGING", "RUNNING", "STOPPING", "SUSPENDING"})

#: States after which an instance takes part in nothing unless somebody starts it.
RESTING = frozenset({"TERMINATED", "SUSPENDED", GONE})


@dataclass(frozen=True, slots=True)
class Phase:
    """A state from a moment on."""

    at: float
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskPlan:
    """A disk that is made with an instance; without a name it gets the instance's."""

    image: Image | None
    gigabytes: int
    kind: str
    boot: bool
    dies_with_instance: bool
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPlan:
    """What all instances of one request have in common in a zone.

    `given` is what replies repeat as it came.
    """

    zone: str
    machine: MachineType
    image: Image
    disks: tuple[DiskPlan, ...]
    network: str
    subnetwork: str
    public: bool
    labels: Mapping[str, str]
    metadata: Mapping[str, str]
    network_tags: tuple[str, ...]
    scheduling: Mapping[str, Any]
    given: Mapping[str, Any]
    protected: bool = False

    @property
    def region(self) -> str:
        """The region of the zone."""
        return ZONES[self.zone]

    @property
    def spot(self) -> bool:
        """Whether instances may be preempted."""
        model = self.scheduling.get("provisioningModel")
        return model == "SPOT" or bool(self.scheduling.get("preemptible"))

    @property
    def longest(self) -> float:
        """For how long (seconds) an instance may run, 0 for ever."""
        limit = self.scheduling.get("maxRunDuration", {})
        return float(limit.get("seconds", 0)) + float(limit.get("nanos", 0)) / 1e9

    @property
    def last_state(self) -> str:
        """Where preemption, or the end of its time, leads an instance."""
        action = self.scheduling.get("instanceTerminationAction", "STOP")
        return GONE if action == "DELETE" else "TERMINATED"


@dataclass(slots=True, kw_only=True)
class Instance:
    """One instance; its state follows from its phases and the time."""

    id: str
    serial: int
    name: str
    project: str
    plan: LaunchPlan
    created_at: float
    address: str
    labels: Mapping[str, str]
    metadata: Mapping[str, str]
    hostname: str = ""
    request: str = ""
    host_key: str = ""
    hidden_until: float = 0.0
    boots: int = 0
    phases: list[Phase] = field(default_factory=list)

    @property
    def path(self) -> str:
        """How others refer to it."""
        return f"projects/{self.project}/zones/{self.plan.zone}/instances/{self.name}"

    def state(self, now: float) -> str:
        """Return the state that it is in."""
        for phase in reversed(self.phases):
            if phase.at <= now:
                return phase.state
        return self.phases[0].state

    def coming(self, now: float) -> list[Phase]:
        """Return the phases that still lie ahead."""
        return [phase for phase in self.phases if phase.at > now]

    def last(self, now: float, *states: str) -> float | None:
        """Return when it last came into one of some states."""
        times = [one.at for one in self.phases if one.at <= now and one.state in states]
        return times[-1] if times else None

    # -- what a real host needs to know

    @property
    def host_name(self) -> str:
        """The name that it gives itself."""
        return self.hostname or self.name

    def runs(self, now: float) -> bool:
        """Tell whether it runs."""
        return self.state(now) == "RUNNING"

    def ended(self, now: float) -> bool:
        """Tell whether it is gone for good."""
        return self.state(now) == GONE

    def addresses(self) -> list[str]:
        """Return where its SSH server listens while it runs."""
        return [self.address]

    @property
    def user_data(self) -> bytes:
        """What cloud-init reads; nothing where there is no cloud-init."""
        text = self.metadata.get("user-data", "") if self.plan.image.cloud_init else ""
        return text.encode()

    @property
    def login_keys(self) -> tuple[str, ...]:
        """The public keys that may log in: what follows `user:` in the metadata."""
        lines = self.metadata.get("ssh-keys", "").splitlines()
        return tuple(key for line in lines if (key := line.partition(":")[2].strip()))

    def public_address(self, now: float) -> str:
        """Return the address by which the world reaches it, or ""."""
        return (
            self.address if self.plan.public and self.state(now) not in RESTING else ""
        )

    # -- what becomes of it

    def starts(self, now: float, behaviour: Behaviour) -> None:
        """Plan a launch or a start."""
        half, up = now + behaviour.boot_seconds / 2, now + behaviour.boot_seconds
        self.boots += 1
        self._goes(
            now,
            Phase(now, "PROVISIONING"),
            Phase(half, "STAGING"),
            Phase(up, "RUNNING"),
        )
        self.may_be_lost(now, behaviour)

    def fails(self, now: float, until: float) -> None:
        """Plan a launch that is taken back."""
        half = (now + until) / 2
        self._goes(
            now, Phase(now, "PROVISIONING"), Phase(half, "STOPPING"), Phase(until, GONE)
        )

    def may_be_lost(self, now: float, behaviour: Behaviour) -> None:
        """Plan what ends it without anybody's doing, as the cloud behaves now."""
        up = next((one for one in self.phases[::-1] if one.state == "RUNNING"), None)
        if up is None or self.phases[-1] is not up:
            return
        ends = []
        if self.plan.longest:
            ends.append(up.at + self.plan.longest)
        if self.plan.spot and behaviour.spot_loss:
            ends.append(up.at + behaviour.spot_loss)
        if ends:
            end = max(now, min(ends))
            gone = Phase(end + behaviour.stop_seconds, self.plan.last_state)
            self.phases += [Phase(end, "STOPPING"), gone]

    def stops(self, now: float, behaviour: Behaviour) -> None:
        """Plan a stop."""
        self._ends(now, behaviour, "STOPPING", "TERMINATED")

    def suspends(self, now: float, behaviour: Behaviour) -> None:
        """Plan a suspension."""
        self._ends(now, behaviour, "SUSPENDING", "SUSPENDED")

    def is_deleted(self, now: float, behaviour: Behaviour) -> float:
        """Plan the end, unless it is near anyway; return when it comes."""
        ahead = self.coming(now)
        if not (self.state(now) == "STOPPING" and ahead and ahead[-1].state == GONE):
            self._ends(now, behaviour, "STOPPING", GONE)
        return self.phases[-1].at

    def _ends(self, now: float, behaviour: Behaviour, first: str, last: str) -> None:
        end = now + behaviour.stop_seconds
        self._goes(now, Phase(now, first), Phase(end, last))

    def _goes(self, now: float, *phases: Phase) -> None:
        self.phases = [*(phase for phase in self.phases if phase.at <= now), *phases]


def occupying(instances: Iterable[Instance], now: float) -> list[Instance]:
    """Return the instances that take capacity and quota."""
    return [one for one in instances if one.state(now) in OCCUPYING]
