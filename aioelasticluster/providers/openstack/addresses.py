"""Floating addresses: one for each node that asks, kept by the cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from aioelasticluster.errors import TransientError
from aioelasticluster.providers.openstack.listing import Server
from aioelasticluster.providers.openstack.naming import made_for

if TYPE_CHECKING:
    from aioelasticluster.providers.openstack.connection import Calls


async def with_floating_address(calls: Calls, server: Server) -> Server:
    """Return a server after it has a floating address; repeating it is safe.

    One that a node of the cluster has left is used first. Not to be called for two
    servers at a time: both might be given the same one. Raises `ProviderError`.
    """
    assert server.tags is not None
    mine = made_for(server.tags.cluster_id)
    ports = await calls.get("network", "/ports", device_id=server.id)
    if not ports["ports"]:
        raise TransientError(f"server {server.id} has no port yet")
    port = _first_port(ports["ports"], server)
    answer = await calls.get("network", "/floatingips", description=mine)
    listed = [
        address
        for address in answer["floatingips"]
        if address["floating_network_id"] == server.floating
    ]
    found = next((a for a in listed if a["port_id"] == port), None)
    if found is None:
        wish = {"port_id": port}
        free = next((a for a in listed if not a["port_id"]), None)
        if free is not None:
            path, method = f"/floatingips/{free['id']}", "PUT"
        else:
            path, method = "/floatingips", "POST"
            wish |= {"floating_network_id": server.floating, "description": mine}
        made = await calls.send("network", method, path, json={"floatingip": wish})
        found = made["floatingip"]
    address = str(found["floating_ip_address"])
    others = [each for each in server.addresses if each != address]
    return replace(server, addresses=(address, *others))


def _first_port(ports: list[dict[str, object]], server: Server) -> str:
    """Return the port of the server's first address, which is its own network's."""
    for address in server.addresses:
        for port in ports:
            fixed = port.get("fixed_ips")
            if isinstance(fixed, list) and any(
                each.get("ip_address") == address for each in fixed
            ):
                return str(port["id"])
    return str(ports[0]["id"])
