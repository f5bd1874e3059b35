"""Nodes, orders and Nova's answers, as small as they may be."""

from __future__ import annotations

from typing import Any

from aioelasticluster.model.records import NodeSpec
from aioelasticluster.providers.base import LaunchOrder
from aioelasticluster.providers.openstack.options import OpenStackOptions
from aioelasticluster.providers.options import resource
from tests.providers.samples import TOKEN, tags


def spec(**options: Any) -> NodeSpec:
    return NodeSpec(
        kind="compute",
        image_id="debian-12",
        image_user="debian",
        flavor="m1.large",
        security_group="default,ssh",
        options=options,
    )


def order(*names: str, zone: str = "", **given: Any) -> LaunchOrder:
    options = OpenStackOptions.of(spec(**given))
    networks = options.network_ids or ("the-only-one",)
    found = {
        "key": "mine",
        "made": "",
        resource("image", "debian-12"): "image-id",
        resource("group", "default,ssh"): "group-1,group-2",
        resource("networks", ",".join(options.network_ids)): ",".join(networks),
        resource("server-group", options.group): "server-group-id",
        resource("floating-network", options.floating_network_id): "outside-id",
    }
    for flavor in ("m1.large", *options.flavors):
        found[resource("flavor", flavor)] = f"id-of-{flavor}"
    return LaunchOrder(
        token=TOKEN,
        spec=spec(**given),
        tags=tags(*(names or ("compute001",))),
        user_data="",
        public_key="",
        zone=zone,
        resources=found,
    )


def described(name: str, *, status: str = "ACTIVE", **facts: Any) -> dict[str, Any]:
    """Return a server as Nova gives it."""
    return {
        "id": f"id-of-{name}",
        "name": name,
        "status": status,
        "metadata": tags("compute001", "compute002").encoded(),
        "addresses": {},
        **facts,
    }
