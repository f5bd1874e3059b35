"""Networks, their parts in each region, and firewall rules."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from tests.clouds.gce.actions import Call, Reply, Work, action, mutation
from tests.clouds.gce.catalogue import REGIONS
from tests.clouds.gce.listing import aggregated, listed
from tests.clouds.gce.moments import fingerprint, moment, new_id
from tests.clouds.gce.projects import Firewall
from tests.clouds.gce.references import reference
from tests.clouds.gce.refusals import (
    RefusalError,
    already_exists,
    invalid,
    not_found,
)

#: Each project's networks, and whether all regions have a part of them.
NETWORKS = {"default": True, "private": False}

#: Where the network has a part that has none in all regions.
_PRIVATE_REGION = "us-central1"

_MADE = "2026-01-01T08:00:00.000-08:00"

Interfaces = Sequence[Mapping[str, Any]]


def attached(
    call: Call, region: str, interfaces: Interfaces | None, place: str
) -> tuple[str, str, bool]:
    """Return network and subnetwork of an order, and whether it is public."""
    field = f"{place}.networkInterfaces"
    if not interfaces:
        raise invalid(field, "", "At least one network interface is required.")
    if len(interfaces) > 1:
        raise RefusalError(501, "notImplemented", "One network interface, here")
    first = interfaces[0]
    network = _network(call, first, f"{field}[0]")
    subnetwork = _subnetwork(call, first, f"{field}[0]", region, network)
    access = first.get("accessConfigs", [])
    if len(access) > 1:
        raise invalid(f"{field}[0].accessConfigs", "", "At most one is allowed.")
    if access and access[0].get("natIP"):
        raise RefusalError(501, "notImplemented", "natIP is not supported here")
    return network or subnetwork, subnetwork, bool(access)


def _network(call: Call, given: Mapping[str, Any], field: str) -> str:
    text = given.get("network", "")
    if not text:
        return "" if given.get("subnetwork") else "default"
    return network_named(call, text, f"{field}.network")


def network_named(call: Call, text: str, field: str) -> str:
    """Return a network's name; refuse what refers to none of the project's."""
    found = reference(field, text, "networks", call.project.id)
    mine = found.project in (call.project.id, call.project.number)
    if not mine or found.scope != "global" or found.name not in NETWORKS:
        raise invalid(field, text, "The referenced network resource cannot be found.")
    return found.name


def _subnetwork(
    call: Call, given: Mapping[str, Any], field: str, region: str, network: str
) -> str:
    text = given.get("subnetwork", "")
    if not text:
        if not NETWORKS[network]:
            raise invalid(
                field,
                "",
                "Subnetwork should be specified for custom subnetmode network",
            )
        return network
    found = reference(f"{field}.subnetwork", text, "subnetworks", call.project.id)
    mine = found.project in (call.project.id, call.project.number)
    there = found.scope == f"regions/{region}" and found.name in _parts(region)
    if not mine or not there:
        raise invalid(
            f"{field}.subnetwork",
            text,
            "The referenced subnetwork resource cannot be found.",
        )
    if network not in ("", found.name):
        raise invalid(f"{field}.subnetwork", text, "It is of another network.")
    return found.name


def _parts(region: str) -> list[str]:
    """Return the names of a region's subnetworks."""
    return [
        name
        for name, everywhere in NETWORKS.items()
        if everywhere or region == _PRIVATE_REGION
    ]


# -- networks


@action("networks.list")
def list_networks(call: Call) -> Reply:
    """List the networks."""
    return listed(call, "networkList", [_rendered_network(call, n) for n in NETWORKS])


@action("networks.get")
def get_network(call: Call) -> Reply:
    """Return one network."""
    name = call.path["network"]
    if name not in NETWORKS:
        raise not_found(call.under("networks", name))
    return _rendered_network(call, name)


def _rendered_network(call: Call, name: str) -> Reply:
    regions = [region for region in REGIONS if name in _parts(region)]
    mine = f"{call.root}projects/{call.project.id}"
    return {
        "kind": "compute#network",
        "id": str(7000 + list(NETWORKS).index(name)),
        "name": name,
        "creationTimestamp": _MADE,
        "autoCreateSubnetworks": NETWORKS[name],
        "selfLink": f"{mine}/global/networks/{name}",
        "subnetworks": [f"{mine}/regions/{one}/subnetworks/{name}" for one in regions],
        "routingConfig": {"routingMode": "REGIONAL"},
        "mtu": 1460,
    }


@action("subnetworks.list")
def list_subnetworks(call: Call) -> Reply:
    """List a region's subnetworks."""
    region = call.path["region"]
    found = [_rendered_part(call, region, name) for name in _parts(region)]
    return listed(call, "subnetworkList", found)


@action("subnetworks.aggregatedList")
def aggregate_subnetworks(call: Call) -> Reply:
    """List all regions' subnetworks."""
    found = {
        f"regions/{region}": [_rendered_part(call, region, n) for n in _parts(region)]
        for region in REGIONS
    }
    return aggregated(call, "subnetwork", "subnetworks", found)


@action("subnetworks.get")
def get_subnetwork(call: Call) -> Reply:
    """Return one subnetwork."""
    region, name = call.path["region"], call.path["subnetwork"]
    if name not in _parts(region):
        raise not_found(call.under("subnetworks", name))
    return _rendered_part(call, region, name)


def _rendered_part(call: Call, region: str, name: str) -> Reply:
    mine = f"{call.root}projects/{call.project.id}"
    cidr = call.project.pools[region].cidr
    return {
        "kind": "compute#subnetwork",
        "id": str(7100 + 10 * list(REGIONS).index(region) + list(NETWORKS).index(name)),
        "name": name,
        "creationTimestamp": _MADE,
        "network": f"{mine}/global/networks/{name}",
        "ipCidrRange": cidr,
        "gatewayAddress": str(ipaddress.ip_network(cidr)[1]),
        "region": f"{mine}/regions/{region}",
        "selfLink": f"{mine}/regions/{region}/subnetworks/{name}",
        "privateIpGoogleAccess": False,
        "fingerprint": fingerprint([region, name]),
        "purpose": "PRIVATE",
        "stackType": "IPV4_ONLY",
    }


# -- firewall rules


@mutation("firewalls.insert")
def insert_firewall(call: Call) -> Work:
    """Make a rule."""
    given = call.body
    path = call.under("firewalls", given["name"])
    if given["name"] in call.project.firewalls:
        raise already_exists(path)
    rule = Firewall(new_id(), given["name"], call.now, _checked_rule(call, given))

    def effect() -> float:
        call.project.firewalls[rule.name] = rule
        return call.now

    return Work(kind="insert", target=path, target_id=rule.id, effect=effect)


def _checked_rule(call: Call, given: Mapping[str, Any]) -> Mapping[str, Any]:
    if bool(given.get("allowed")) == bool(given.get("denied")):
        raise invalid(
            "resource", "", "Exactly one of 'allowed' and 'denied' must be specified."
        )
    for part in (*given.get("allowed", ()), *given.get("denied", ())):
        if not part.get("IPProtocol"):
            raise invalid("resource.allowed[0].IPProtocol", "", "It is required.")
    for index, cidr in enumerate(given.get("sourceRanges", ())):
        try:
            ipaddress.ip_network(cidr)
        except ValueError as fault:
            field = f"resource.sourceRanges[{index}]"
            raise invalid(field, cidr, "Must be a valid CIDR range.") from fault
    network = given.get("network") or "global/networks/default"
    name = network_named(call, network, "resource.network")
    url = f"{call.root}projects/{call.project.id}/global/networks/{name}"
    defaults = {"direction": "INGRESS", "priority": 1000, "disabled": False}
    return {**defaults, **given, "network": url}


@mutation("firewalls.patch")
def patch_firewall(call: Call) -> Work:
    """Change parts of a rule."""
    rule, given = _rule(call), call.body
    kept = {**rule.given, **given}
    changed = replace(rule, given=_checked_rule(call, kept))

    def effect() -> float:
        call.project.firewalls[rule.name] = changed
        return call.now

    path = call.under("firewalls", rule.name)
    return Work(kind="patch", target=path, target_id=rule.id, effect=effect)


@action("firewalls.list")
def list_firewalls(call: Call) -> Reply:
    """List the rules."""
    found = map(partial(_rendered_rule, call), call.project.firewalls.values())
    return listed(call, "firewallList", list(found))


@action("firewalls.get")
def get_firewall(call: Call) -> Reply:
    """Return one rule."""
    return _rendered_rule(call, _rule(call))


@mutation("firewalls.delete")
def delete_firewall(call: Call) -> Work:
    """Delete a rule."""
    rule = _rule(call)

    def effect() -> float:
        del call.project.firewalls[rule.name]
        return call.now

    path = call.under("firewalls", rule.name)
    return Work(kind="delete", target=path, target_id=rule.id, effect=effect)


def _rule(call: Call) -> Firewall:
    name = call.path["firewall"]
    for rule in call.project.firewalls.values():
        if name in (rule.name, rule.id):
            return rule
    raise not_found(call.under("firewalls", name))


def _rendered_rule(call: Call, rule: Firewall) -> Reply:
    path = f"projects/{call.project.id}/global/firewalls/{rule.name}"
    return {
        **rule.given,
        "kind": "compute#firewall",
        "id": rule.id,
        "creationTimestamp": moment(rule.created_at),
        "selfLink": f"{call.root}{path}",
    }
