"""What Google says of instances, as ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from aioelasticluster.errors import TransientError
from aioelasticluster.model.tags import PREFIX, Tags
from aioelasticluster.providers.base import Instance, InstanceState
from aioelasticluster.providers.google.naming import (
    SCHEMA_LABEL,
    instance_id,
    instance_name,
    last_part,
)

if TYPE_CHECKING:
    from aioelasticluster.providers.google.calls import Calls

#: Instances in one page.
PAGE = 500

_STATES: Mapping[str, InstanceState] = {
    "PROVISIONING": InstanceState.PENDING,
    "STAGING": InstanceState.PENDING,
    "PENDING": InstanceState.PENDING,
    "RUNNING": InstanceState.RUNNING,
    "REPAIRING": InstanceState.PENDING,
    "SUSPENDING": InstanceState.PAUSING,
    "SUSPENDED": InstanceState.PAUSED,
    "PENDING_STOP": InstanceState.PAUSING,
    "STOPPING": InstanceState.PAUSING,
    "STOPPED": InstanceState.PAUSED,
    "TERMINATED": InstanceState.PAUSED,  # stopped: a deleted one is not listed
    "DEPROVISIONING": InstanceState.TERMINATING,
}

#: What is asked of each instance.
_FIELDS = (
    "items/*/instances(name,zone,status,labels,metadata/items,"
    "networkInterfaces(networkIP,accessConfigs/natIP)),nextPageToken,unreachables"
)


async def listed(calls: Calls, **labels: str) -> list[Instance]:
    """Return all instances of the project with some labels, in all zones.

    Raises `TransientError` where a zone does not answer: then others may be missing.
    """
    wanted = " AND ".join(f"labels.{key}={value}" for key, value in labels.items())
    found: list[Instance] = []
    token: dict[str, str] = {}
    while True:
        page = await calls.get(
            "/aggregated/instances",
            filter=wanted,
            maxResults=str(PAGE),
            includeAllScopes="false",
            fields=_FIELDS,
            **token,
        )
        if unreachable := page.get("unreachables"):
            raise TransientError(f"no answer from {', '.join(unreachable)}")
        found += _instances_in(page)
        if not page.get("nextPageToken"):
            return found
        token = {"pageToken": page["nextPageToken"]}


def _instances_in(page: Mapping[str, Any]) -> Iterator[Instance]:
    for scope in page.get("items", {}).values():
        for item in scope.get("instances", ()):
            yield instance_of(item)


def instance_of(item: Mapping[str, Any]) -> Instance:
    """Return an instance as Google describes it."""
    told = {
        each["key"]: each.get("value", "")
        for each in item.get("metadata", {}).get("items", ())
        if each["key"].startswith(PREFIX)
    }
    tags = Tags.decoded(told) if SCHEMA_LABEL in item.get("labels", {}) else None
    zone = last_part(item["zone"])
    return Instance(
        id=instance_id(zone, item["name"]),
        state=_STATES.get(item["status"], InstanceState.PENDING),
        index=_index(item["name"], tags),
        addresses=tuple(_addresses(item)),
        ssh_port=tags.ssh_port if tags else 22,
        zone=zone,
        tags=tags,
    )


def _index(name: str, tags: Tags | None) -> int:
    """Return which of its order's nodes an instance is, by its name."""
    for index, node in enumerate(tags.names if tags else ()):
        if tags and instance_name(node, tags.token) == name:
            return index
    return 0


def _addresses(item: Mapping[str, Any]) -> Iterator[str]:
    """Yield an instance's addresses, public ones first."""
    interfaces = item.get("networkInterfaces", ())
    for interface in interfaces:
        for access in interface.get("accessConfigs", ()):
            if address := access.get("natIP"):
                yield address
    for interface in interfaces:
        if address := interface.get("networkIP"):
            yield address
