"""What one project has, and how it is looked up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.clouds.ec2.addresses import AddressPlan, AddressPool
from tests.clouds.gce.behaviour import Behaviour
from tests.clouds.gce.catalogue import REGIONS
from tests.clouds.gce.instances import GONE, DiskPlan, Instance
from tests.clouds.gce.operations import Operation
from tests.clouds.gce.refusals import not_found


@dataclass(slots=True)
class Disk:
    """A disk; without an instance it is nobody's."""

    id: str
    name: str
    zone: str
    plan: DiskPlan
    created_at: float
    instance: Instance | None

    def path(self, project: str) -> str:
        """Return how others refer to it."""
        return f"projects/{project}/zones/{self.zone}/disks/{self.name}"


@dataclass(frozen=True, slots=True)
class Firewall:
    """A firewall rule: `given` is what was asked for."""

    id: str
    name: str
    created_at: float
    given: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a request id stands for: the digest of the request, and its operation."""

    digest: str
    operation: Operation


#: A zone and a name in it.
Key = tuple[str, str]


@dataclass(slots=True)
class Project:
    """All that one project has."""

    id: str
    number: str
    clock: Callable[[], float]
    plan: AddressPlan
    instances: dict[Key, Instance] = field(default_factory=dict)
    disks: dict[Key, Disk] = field(default_factory=dict)
    firewalls: dict[str, Firewall] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    requests: dict[str, Replayed] = field(default_factory=dict)
    pools: dict[str, AddressPool] = field(init=False)
    #: How many requests the present window has seen.
    window: tuple[float, int] = (0.0, 0)

    def __post_init__(self) -> None:
        self.pools = {region: self.plan.pool() for region in REGIONS}

    def settle(self, now: float) -> None:
        """Forget the instances that are gone, and the disks that go with them."""
        gone = [key for key, one in self.instances.items() if one.state(now) == GONE]
        for key in gone:
            self._leave_disks(self.instances.pop(key))

    def _leave_disks(self, instance: Instance) -> None:
        for key, disk in list(self.disks.items()):
            if disk.instance is instance:
                disk.instance = None
                if disk.plan.dies_with_instance:
                    del self.disks[key]

    def listed(self, behaviour: Behaviour, now: float) -> Iterator[Instance]:
        """Yield the instances that lists have by now, in zones that can be asked."""
        for one in self.instances.values():
            if one.hidden_until <= now and one.plan.zone not in behaviour.unreachable:
                yield one

    def instance(self, zone: str, name: str) -> Instance:
        """Return an instance by its name or id; refuse one that is not there."""
        found = self.instances.get((zone, name))
        if found is None and name.isdecimal():
            found = next(
                (
                    one
                    for one in self.instances.values()
                    if one.id == name and one.plan.zone == zone
                ),
                None,
            )
        if found is None:
            raise not_found(f"projects/{self.id}/zones/{zone}/instances/{name}")
        return found

    def operation(self, place: str, name: str) -> Operation:
        """Return an operation by its name or id; refuse one that is not there."""
        for one in (self.operations.get(name), self._operation_with(name)):
            if one is not None and one.place == place:
                return one
        raise not_found(f"projects/{self.id}/{place}/operations/{name}")

    def _operation_with(self, number: str) -> Operation | None:
        if not number.isdecimal():
            return None
        return next((one for one in self.operations.values() if one.id == number), None)

    def under_way(self, now: float) -> int:
        """Return how many operations are not done."""
        return sum(one.ends > now for one in self.operations.values())
