"""What one account has in one region, and how it is looked up."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.clouds.ec2.addresses import AddressPlan, Subnet
from tests.clouds.ec2.behaviour import Behaviour
from tests.clouds.ec2.buckets import Buckets
from tests.clouds.ec2.catalogue import zones
from tests.clouds.ec2.instances import Instance, LaunchPlan, Reservation
from tests.clouds.ec2.refusals import RefusalError, not_found
from tests.clouds.ec2.security import Group

#: What a resource's id begins with, and how its type is called.
RESOURCE_TYPES = {
    "eipalloc": "elastic-ip",
    "eni": "network-interface",
    "i": "instance",
    "key": "key-pair",
    "pg": "placement-group",
    "sg": "security-group",
    "sir": "spot-instances-request",
    "subnet": "subnet",
    "vol": "volume",
    "vpc": "vpc",
}

_INSTANCE_ID = re.compile(r"i-([0-9a-f]{8}|[0-9a-f]{17})")


def new_id(prefix: str) -> str:
    """Return an id for a new resource."""
    return f"{prefix}-0{secrets.token_hex(8)}"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A public key under a name; `material` is OpenSSH text without a comment."""

    id: str
    name: str
    kind: str
    fingerprint: str
    material: str
    created: float


@dataclass(slots=True)
class Elastic:
    """An elastic address, maybe with the instance that has it."""

    id: str
    address: str
    association: str = ""
    instance: Instance | None = None

    def goes_to(self, instance: Instance) -> None:
        """Become the address of an instance instead of what it was before."""
        self.leaves()
        self.association, self.instance = new_id("eipassoc"), instance
        instance.elastic = self.address

    def leaves(self) -> None:
        """Be nobody's address."""
        if self.instance is not None:
            self.instance.elastic = ""
        self.association, self.instance = "", None


@dataclass(frozen=True, slots=True)
class PlacementGroup:
    """A placement group."""

    id: str
    name: str
    strategy: str
    partitions: int | None = None


@dataclass(slots=True)
class SpotRequest:
    """A request for one spot instance; without an instance it waits for ever."""

    id: str
    instance: Instance | None
    created: float
    price: str
    plan: LaunchPlan
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a token stands for: the digest of the parameters, and what came of it."""

    digest: str
    result: Any


@dataclass(slots=True)
class Account:
    """All that one account has in one region."""

    id: str
    region: str
    clock: Callable[[], float]
    plan: AddressPlan
    instances: dict[str, Instance] = field(default_factory=dict)
    reservations: list[Reservation] = field(default_factory=list)
    tokens: dict[tuple[str, str, str], Replayed] = field(default_factory=dict)
    key_pairs: dict[str, KeyPair] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    subnets: dict[str, Subnet] = field(default_factory=dict)
    elastics: dict[str, Elastic] = field(default_factory=dict)
    placement_groups: dict[str, PlacementGroup] = field(default_factory=dict)
    spot_requests: dict[str, SpotRequest] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    vpc_id: str = field(default_factory=lambda: new_id("vpc"))
    buckets: Buckets = field(init=False)

    def __post_init__(self) -> None:
        self.buckets = Buckets(self.clock)
        for zone in zones(self.region):
            subnet = Subnet(new_id("subnet"), zone, self.vpc_id, self.plan.pool())
            self.subnets[subnet.id] = subnet
        group = Group(new_id("sg"), "default", "default VPC security group", "")
        self.groups[group.id] = group
        group.vpc_id = self.vpc_id

    # -- instances

    def listed(self, behaviour: Behaviour) -> list[Instance]:
        """Return the instances that can be listed now, oldest first."""
        now = self.clock()
        self._forget(now - behaviour.terminated_listed)
        return [one for one in self.instances.values() if one.hidden_until <= now]

    def _forget(self, before: float) -> None:
        """Drop instances that ended long ago, and what ended with them."""
        for one in list(self.instances.values()):
            last = one.phases[-1]
            if last.state == "terminated" and last.at < before:
                del self.instances[one.id]
                for gone in (one.id, one.interface, *one.volumes):
                    self.tags.pop(gone, None)

    def named(self, ids: Sequence[str], behaviour: Behaviour) -> list[Instance]:
        """Return instances by their ids; refuse all if one is not there."""
        for given in ids:
            if not _INSTANCE_ID.fullmatch(given):
                raise RefusalError(
                    "InvalidInstanceID.Malformed", f'Invalid id: "{given}"'
                )
        known = {one.id: one for one in self.listed(behaviour)}
        if missing := [given for given in ids if given not in known]:
            raise not_found("InvalidInstanceID.NotFound", "instance", missing)
        return [known[given] for given in dict.fromkeys(ids)]

    # -- networks

    def subnet(self, subnet_id: str) -> Subnet:
        """Return a subnet; refuse one that is not there."""
        if subnet_id not in self.subnets:
            raise not_found("InvalidSubnetID.NotFound", "subnet", [subnet_id])
        return self.subnets[subnet_id]

    def group(self, group_id: str) -> Group:
        """Return a security group by its id; refuse one that is not there."""
        if not group_id.startswith("sg-"):
            raise RefusalError("InvalidGroupId.Malformed", f'Invalid id: "{group_id}"')
        if group_id not in self.groups:
            raise not_found_group(group_id)
        return self.groups[group_id]

    def group_named(self, name: str) -> Group:
        """Return a security group of the default network by its name."""
        for group in self.groups.values():
            if group.name == name:
                return group
        raise not_found_group(name, f" in default VPC '{self.vpc_id}'")

    # -- tags

    def tag_list(self, resource: str) -> list[dict[str, str]]:
        """Return a resource's tags as replies have them."""
        tags = self.tags.get(resource, {})
        return [{"Key": key, "Value": value} for key, value in tags.items()]

    def resources(self, behaviour: Behaviour) -> Iterable[str]:
        """Yield the ids of all that can be tagged."""
        for one in self.listed(behaviour):
            yield from (one.id, one.interface, *one.volumes)
        yield from self.groups
        yield from self.subnets
        yield from self.elastics
        yield from self.spot_requests
        yield from (pair.id for pair in self.key_pairs.values())
        yield from (group.id for group in self.placement_groups.values())
        yield self.vpc_id


def not_found_group(name: str, where: str = "") -> RefusalError:
    """Say that a security group is not there."""
    return RefusalError(
        "InvalidGroup.NotFound", f"The security group '{name}' does not exist{where}"
    )
