"""One order as one request for several servers, and which servers came of it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from aioelasticluster._log import log
from aioelasticluster.errors import (
    InvalidRequestError,
    QuotaError,
    UnknownOutcomeError,
)
from aioelasticluster.providers.base import LaunchOrder
from aioelasticluster.providers.openstack.listing import Server, listed
from aioelasticluster.providers.openstack.naming import (
    FLOATING,
    MADE,
    OURS,
    cluster_tag,
    server_name,
    token_tag,
)
from aioelasticluster.providers.openstack.options import (
    NO_GROUP,
    USER_DATA_LIMIT,
    OpenStackOptions,
)
from aioelasticluster.providers.options import MADE_GROUP, Place, fitting, resource

if TYPE_CHECKING:
    from aioelasticluster.providers.openstack.connection import Calls

#: The version of Nova's API from which on volumes have types.
VOLUME_TYPES = "2.67"

#: How often a fresh order's servers are listed, and the pause (seconds) in between.
LOOKS, LOOK_PAUSE = 5, 0.5

#: Where Nova looks for the server group.
_HINTS = "os:scheduler_hints"


def servers(order: LaunchOrder) -> dict[str, Any]:
    """Return the body of an order's request, tagged from the first moment.

    Nova numbers the servers of one request `<name>-1` …; a single one is numbered
    here.
    """
    options, place = OpenStackOptions.of(order.spec), Place.parsed(order.zone)
    found, count = order.resources, len(order.names)
    name = server_name(order.tags.cluster, order.token)
    kind = MADE_GROUP if options.ssh_from else "group"
    groups = found[resource(kind, order.spec.security_group)].split(",")
    body: dict[str, Any] = {
        "name": name if count > 1 else f"{name}-1",
        "flavorRef": found[resource("flavor", place.flavor or order.spec.flavor)],
        "key_name": found["key"],
        "networks": _networks(order, options),
        "security_groups": [{"name": group} for group in groups if group],
        "metadata": _metadata(order, options),
        "tags": [
            OURS,
            cluster_tag(order.tags.cluster_id),
            token_tag(order.token),
        ],
        "min_count": 1,
        "max_count": count,
        **_boot(order, options),
    }
    if place.where:
        body["availability_zone"] = place.where
    if order.user_data:
        body["user_data"] = fitting(_encoded(order.user_data), USER_DATA_LIMIT)
    if options.config_drive:
        body["config_drive"] = True
    request: dict[str, Any] = {"server": body}
    if options.group != NO_GROUP and (
        group := found[resource("server-group", options.group)]
    ):
        request[_HINTS] = {"group": group}
    return request


def without_group(order: LaunchOrder, request: dict[str, Any]) -> dict[str, Any] | None:
    """Return a request that takes no place in the server group; None: it must have one.

    Nova admits few members to a group (10 by default). Nodes whose user did not ask to
    be kept apart are launched beside a full one.
    """
    if OpenStackOptions.of(order.spec).server_group or _HINTS not in request:
        return None
    return {key: part for key, part in request.items() if key != _HINTS}


def _networks(order: LaunchOrder, options: OpenStackOptions) -> list[dict[str, str]]:
    if options.fixed_ip and len(order.names) > 1:
        raise InvalidRequestError(
            f"fixed_ip={options.fixed_ip!r}: it is one address for "
            f"{len(order.names)} nodes: give each its own with add_node"
        )
    ids = order.resources[resource("networks", ",".join(options.network_ids))]
    networks = [{"uuid": id} for id in ids.split(",")]
    if options.fixed_ip:
        networks[0]["fixed_ip"] = options.fixed_ip
    return networks


def _metadata(order: LaunchOrder, options: OpenStackOptions) -> dict[str, str]:
    told = order.tags.encoded() | {MADE: order.resources["made"]}
    if options.request_floating_ip:
        name = options.floating_network_id
        told[FLOATING] = order.resources[resource("floating-network", name)]
    return told


def _boot(order: LaunchOrder, options: OpenStackOptions) -> dict[str, Any]:
    """Return what to boot from: the image, or a volume made of it."""
    image = order.resources[resource("image", order.spec.image_id)]
    if not options.boot_disk_size:
        return {"imageRef": image}
    volume: dict[str, Any] = {
        "boot_index": 0,
        "uuid": image,
        "source_type": "image",
        "destination_type": "volume",
        "volume_size": options.boot_disk_size,
        "delete_on_termination": True,
    }
    if options.boot_disk_type:
        volume["volume_type"] = options.boot_disk_type
    return {"imageRef": "", "block_device_mapping_v2": [volume]}


def _encoded(user_data: str) -> str:
    return base64.b64encode(user_data.encode()).decode()


async def accepted(calls: Calls, order: LaunchOrder) -> Mapping[str, Any]:
    """Send an order to Nova, once more where only the server group had no room for it.

    What Nova refuses for a quota it has not begun.
    """
    request, version = servers(order), version_for(order)
    send = partial(calls.once, "compute", "POST", "/servers", **version)
    try:
        return await send(json=request)
    except QuotaError as error:
        ungrouped = without_group(order, request)
        if ungrouped is None or "servers in group" not in error.message:
            raise
        log.warning("nodes are not all kept apart: %s", error)
    return await send(json=ungrouped)


def version_for(order: LaunchOrder) -> dict[str, str]:
    """Return what says which version of Nova's API an order needs: {} is the usual."""
    typed = OpenStackOptions.of(order.spec).boot_disk_type
    return {"microversion": VOLUME_TYPES} if typed else {}


async def made_of(calls: Calls, order: LaunchOrder, first: str) -> list[Server]:
    """Return the servers of an order; raises `UnknownOutcomeError` if one is missing.

    All are listed when Nova has answered. Where it made fewer, for the quota, nothing
    but a second look tells them from some that are late.
    """
    count, seen = len(order.names), -1
    for _ in range(LOOKS):
        found = await listed(calls, token_tag(order.token))
        ours = [server for server in found if server.index < count]
        if len(ours) == count or (len(ours) == seen and _has(ours, first)):
            return ours
        seen = len(ours)
        await anyio.sleep(LOOK_PAUSE)
    raise UnknownOutcomeError(f"Nova does not list server {first}, which it has made")


def _has(servers: Sequence[Server], id: str) -> bool:
    return any(server.id == id for server in servers)
