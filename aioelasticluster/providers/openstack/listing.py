"""What Nova says of servers, as instances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aioelasticluster.errors import (
    CapacityError,
    ProviderError,
    QuotaError,
    TransientError,
)
from aioelasticluster.model.tags import Tags
from aioelasticluster.providers.base import Instance, InstanceState
from aioelasticluster.providers.openstack.naming import FLOATING, MADE

if TYPE_CHECKING:
    from aioelasticluster.providers.openstack.connection import Calls

_STATES: Mapping[str, InstanceState] = {
    "ACTIVE": InstanceState.RUNNING,
    "BUILD": InstanceState.PENDING,
    "ERROR": InstanceState.FAILED,
    "PAUSED": InstanceState.PAUSED,
    "SHELVED": InstanceState.PAUSED,
    "SHELVED_OFFLOADED": InstanceState.PAUSED,
    "SHUTOFF": InstanceState.PAUSED,
    "SUSPENDED": InstanceState.PAUSED,
}

#: What Nova is doing with a server decides before what it is.
_TASKS: Mapping[str, InstanceState] = {
    "deleting": InstanceState.TERMINATING,
    "powering-off": InstanceState.PAUSING,
    "powering-on": InstanceState.PENDING,
    "shelving": InstanceState.PAUSING,
    "shelving_offloading": InstanceState.PAUSING,
    "soft-deleting": InstanceState.TERMINATING,
    "unshelving": InstanceState.PENDING,
}

#: What no longer exists.
_GONE = frozenset({"DELETED", "SOFT_DELETED"})

#: What Nova says where no host could take a server.
_NO_ROOM = ("No valid host", "Exceeded maximum number of retries")

#: What it says of a volume that Cinder has failed to make.
_NO_VOLUME = "its status is error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server(Instance):
    """An instance, and what Nova's metadata says of it beside our tags.

    `floating` is the network that it is to get a floating address from, `made` what
    was made for its cluster.
    """

    floating: str = ""
    made: frozenset[str] = frozenset()


async def listed(calls: Calls, tag: str) -> list[Server]:
    """Return all servers with a tag; raises `TransientError` for a part of them."""
    found: list[Server] = []
    query: dict[str, str] = {"tags": tag}
    while True:
        answer = await calls.get("compute", "/servers/detail", **query)
        page = answer["servers"]
        found += servers_of(page)
        links = answer.get("servers_links", ())
        if not page or not any(link["rel"] == "next" for link in links):
            return found
        query["marker"] = page[-1]["id"]


def servers_of(items: Iterable[Mapping[str, Any]]) -> list[Server]:
    """Return servers as Nova describes them, without those that are gone."""
    return [_server(item) for item in items if item["status"] not in _GONE]


def _server(item: Mapping[str, Any]) -> Server:
    if item["status"] == "UNKNOWN":
        raise TransientError(f"Nova does not reach server {item['id']}'s part of it")
    told = item.get("metadata", {})
    tags = Tags.decoded(told)
    task = item.get("OS-EXT-STS:task_state") or ""
    state = _TASKS.get(task) or _STATES.get(item["status"], InstanceState.PENDING)
    failed = state is InstanceState.FAILED
    return Server(
        id=item["id"],
        state=state,
        index=_index(item["name"]),
        addresses=addresses_of(item),
        ssh_port=tags.ssh_port if tags else 22,
        zone=item.get("OS-EXT-AZ:availability_zone") or "",
        fault=_fault(item.get("fault", {})) if failed else None,
        tags=tags,
        floating=told.get(FLOATING, ""),
        made=frozenset(filter(None, told.get(MADE, "").split(","))),
    )


def _fault(fault: Mapping[str, Any]) -> ProviderError:
    """Return why a server that was accepted is in error."""
    text = str(fault.get("message") or "the server is in error, without a reason")
    kind: type[ProviderError] = ProviderError
    if any(words in text for words in _NO_ROOM):
        kind = CapacityError
    elif _NO_VOLUME in text:
        kind = CapacityError
        text += " No storage took it: try another boot_disk_type or boot_disk_size"
    elif "uota" in text or "exceeded" in text.lower():
        kind = QuotaError
    return kind(text, code=str(fault.get("code", "")))


def _index(name: str) -> int:
    """Return a server's place in its order: Nova numbers them from 1."""
    number = name.rpartition("-")[2]
    return int(number) - 1 if number.isdecimal() else 0


def addresses_of(item: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a server's addresses: floating ones first, IPv4 before IPv6."""
    entries = [
        entry for network in item.get("addresses", {}).values() for entry in network
    ]
    ordered = sorted(
        entries,
        key=lambda entry: (
            entry.get("OS-EXT-IPS:type") != "floating",
            entry.get("version", 4),
        ),
    )
    return tuple(entry["addr"] for entry in ordered)
