"""What EC2 says of instances, as ours; and who is asked about in one request."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aioelasticluster.errors import (
    CapacityError,
    InvalidRequestError,
    ProviderError,
    QuotaError,
)
from aioelasticluster.model.tags import Tags
from aioelasticluster.providers.base import Instance, InstanceState
from aioelasticluster.providers.ec2.launching import ELASTIC

#: Most values of one filter.
FILTER_VALUES = 200

#: Instances in one page of a list.
PAGE = 1000

_STATES: Mapping[str, InstanceState] = {
    "pending": InstanceState.PENDING,
    "running": InstanceState.RUNNING,
    "stopping": InstanceState.PAUSING,
    "stopped": InstanceState.PAUSED,
    "shutting-down": InstanceState.TERMINATING,
    "terminated": InstanceState.FAILED,  # by itself, where somebody waits for it
}

#: All that exists, and all of which something is to be said.
EXISTING = ("pending", "running", "shutting-down", "stopping", "stopped")
DECIDED = ("running", "shutting-down", "stopping", "stopped", "terminated")

#: Why EC2 took an accepted instance away again (`StateReason`).
_BY_REASON: Mapping[str, type[ProviderError]] = {
    "Server.InsufficientInstanceCapacity": CapacityError,
    "Server.SpotInstanceShutdown": CapacityError,
    "Server.SpotInstanceTermination": CapacityError,
    "Client.InvalidSnapshot.NotFound": InvalidRequestError,
    "Client.VolumeLimitExceeded": QuotaError,
}


#: The reason of those that somebody terminated: they are no longer there.
_BY_REQUEST = "Client.UserInitiatedShutdown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ec2Instance(Instance):
    """An instance, and whether it is to get an elastic address."""

    elastic: bool = False


def instances_of(
    reservations: Iterable[Mapping[str, Any]],
) -> tuple[Ec2Instance, ...]:
    """Return the instances of some reservations, without those terminated on request.

    One that ended by itself has failed: EC2 tells why for a while.
    """
    decoded: dict[tuple[tuple[str, str], ...], Tags | None] = {}
    found: list[Ec2Instance] = []
    for reservation in reservations:
        for item in reservation.get("Instances", ()):
            tags = {tag["Key"]: tag["Value"] for tag in item.get("Tags", ())}
            if _is_gone(item):
                continue
            key = tuple(sorted(tags.items()))
            if key not in decoded:  # a batch shares its tags
                decoded[key] = Tags.decoded(tags)
            found.append(_instance(item, tags, decoded[key]))
    return tuple(_numbered(found))


def _is_gone(item: Mapping[str, Any]) -> bool:
    reason = item.get("StateReason", {}).get("Code", _BY_REQUEST)
    return bool(item["State"]["Name"] == "terminated" and reason == _BY_REQUEST)


def _instance(
    item: Mapping[str, Any], plain: Mapping[str, str], tags: Tags | None
) -> Ec2Instance:
    state = _STATES.get(item["State"]["Name"], InstanceState.PENDING)
    fault = _fault(item) if state is InstanceState.FAILED else None
    addresses = (item.get("PublicIpAddress"), item.get("PrivateIpAddress"))
    return Ec2Instance(
        id=item["InstanceId"],
        state=state,
        index=item.get("AmiLaunchIndex", 0),
        addresses=tuple(dict.fromkeys(filter(None, addresses))),
        ssh_port=tags.ssh_port if tags else 22,
        zone=item.get("Placement", {}).get("AvailabilityZone", ""),
        fault=fault,
        tags=tags,
        elastic=ELASTIC in plain,
    )


def _fault(item: Mapping[str, Any]) -> ProviderError:
    reason = item.get("StateReason", {})
    code = reason.get("Code", "")
    text = reason.get("Message") or item.get("StateTransitionReason")
    return _BY_REASON.get(code, ProviderError)(
        text or "the instance ended, and EC2 gives no reason", code=code
    )


def _numbered(found: Sequence[Ec2Instance]) -> Iterator[Ec2Instance]:
    """Number the instances of an order by id where the endpoint gives all the same."""
    orders: dict[str, list[Ec2Instance]] = defaultdict(list)
    for instance in found:
        orders[instance.token].append(instance)
    for token, instances in orders.items():
        index, many = Counter(i.index for i in instances).most_common(1)[0]
        if token and many > 1:
            same = sorted(instances, key=lambda instance: instance.id)
            yield from (replace(i, index=index + n) for n, i in enumerate(same))
        else:
            yield from instances


def wanted(name: str, *values: str) -> dict[str, Any]:
    """Return a filter as EC2 takes it."""
    return {"Name": name, "Values": sorted(set(values))}


def chunks(ids: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield ids in lists of at most so many."""
    ordered = sorted(set(ids))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]
