"""Elastic addresses: allocated, given to instances, taken back, released."""

from __future__ import annotations

from tests.clouds.ec2.account import Elastic, new_id
from tests.clouds.ec2.actions import Call, Reply, action
from tests.clouds.ec2.instances import Instance
from tests.clouds.ec2.refusals import RefusalError, not_found
from tests.clouds.ec2.selecting import Fact, selected
from tests.clouds.ec2.tagging import of_reply, specified


@action("AllocateAddress", "Domain", "TagSpecifications")
def allocate_address(call: Call) -> Reply:
    """Take an address out of the pool, as far as the quota allows."""
    tags = specified(call, "elastic-ip")
    if len(call.account.elastics) >= call.behaviour.address_quota:
        raise RefusalError(
            "AddressLimitExceeded",
            "The maximum number of addresses has been reached.",
        )
    call.permitted()
    elastic = Elastic(new_id("eipalloc"), call.cloud.elastic_pool.take())
    call.account.elastics[elastic.id] = elastic
    call.account.tags[elastic.id] = tags.get("elastic-ip", {})
    return {
        "AllocationId": elastic.id,
        "Domain": "vpc",
        "NetworkBorderGroup": call.account.region,
        "PublicIp": elastic.address,
        "PublicIpv4Pool": "amazon",
    }


@action(
    "AssociateAddress",
    *("AllocationId", "AllowReassociation", "InstanceId", "NetworkInterfaceId"),
    "PublicIp",
)
def associate_address(call: Call) -> Reply:
    """Give an address to an instance; repeating it changes nothing."""
    elastic, instance = _named(call), _target(call)
    if _holder(call, elastic) is instance:
        call.permitted()
        return {"AssociationId": elastic.association}
    if not call.get("AllowReassociation"):
        _check_free(call, elastic, instance)
    call.permitted()
    for other in call.account.elastics.values():
        if other.instance is instance:
            other.leaves()
    former = elastic.instance
    elastic.goes_to(instance)
    for changed in filter(None, (former, instance)):
        call.cloud.changed(changed)
    return {"AssociationId": elastic.association}


def _named(call: Call) -> Elastic:
    """Return the address that a call names by its id or as it is."""
    given = call.get("AllocationId")
    if given:
        if given not in call.account.elastics:
            raise not_found("InvalidAllocationID.NotFound", "allocation", [given])
        return call.account.elastics[given]
    return _by_address(call, call.get("PublicIp"))


def _by_address(call: Call, address: str | None) -> Elastic:
    if not address:
        raise RefusalError(
            "MissingParameter", "Either public IP or allocation id must be specified"
        )
    for elastic in call.account.elastics.values():
        if elastic.address == address:
            return elastic
    raise RefusalError("InvalidAddress.NotFound", f"Address '{address}' not found.")


def _target(call: Call) -> Instance:
    """Return the instance that is to have an address; it must be there to have one."""
    interface = call.get("NetworkInterfaceId")
    if interface:
        listed = call.account.listed(call.behaviour)
        found = [one for one in listed if one.interface == interface]
        if not found:
            raise not_found(
                "InvalidNetworkInterfaceID.NotFound", "networkInterface", [interface]
            )
    elif call.get("InstanceId"):
        found = call.account.named([call.get("InstanceId")], call.behaviour)
    else:
        raise RefusalError(
            "MissingParameter",
            "Either instance ID or network interface id must be specified",
        )
    (instance,) = found
    if (state := instance.state(call.now)) not in ("running", "stopping", "stopped"):
        raise RefusalError(
            "InvalidInstanceID",
            f"The {state} instance '{instance.id}' is not in a valid state for this "
            "operation.",
        )
    return instance


def _check_free(call: Call, elastic: Elastic, instance: Instance) -> None:
    for one in call.account.elastics.values():
        holder = _holder(call, one)
        if holder is not None and (one is elastic or holder is instance):
            raise RefusalError(
                "Resource.AlreadyAssociated",
                f"resource {holder.interface} is already associated with "
                f"associate-id {one.association}",
            )


def _holder(call: Call, elastic: Elastic) -> Instance | None:
    """Return the instance that has an address; none keeps it beyond its end."""
    instance = elastic.instance
    if instance is not None and instance.state(call.now) == "terminated":
        elastic.leaves()
    return elastic.instance


@action("DisassociateAddress", "AssociationId", "PublicIp")
def disassociate_address(call: Call) -> Reply:
    """Take an address from its instance."""
    given = call.get("AssociationId")
    if given:
        elastics = call.account.elastics.values()
        found = [
            one for one in elastics if _holder(call, one) and one.association == given
        ]
        if not found:
            raise not_found("InvalidAssociationID.NotFound", "association", [given])
        elastic = found[0]
    else:
        elastic = _by_address(call, call.get("PublicIp"))
    call.permitted()
    instance = elastic.instance
    elastic.leaves()
    if instance is not None:
        call.cloud.changed(instance)
    return {}


@action("ReleaseAddress", "AllocationId", "PublicIp")
def release_address(call: Call) -> Reply:
    """Give an address back that no instance has."""
    elastic = _named(call)
    if _holder(call, elastic) is not None:
        raise RefusalError(
            "InvalidIPAddress.InUse", f"Address {elastic.address} is in use."
        )
    call.permitted()
    del call.account.elastics[elastic.id]
    call.account.tags.pop(elastic.id, None)
    return {}


@action("DescribeAddresses", "AllocationIds", "Filters", "PublicIps")
def describe_addresses(call: Call) -> Reply:
    """List the addresses; one unknown id refuses all."""
    known = call.account.elastics
    named = [_by_address(call, address) for address in call.get("PublicIps", ())]
    for given in call.get("AllocationIds", ()):
        if given not in known:
            raise not_found("InvalidAllocationID.NotFound", "allocation", [given])
        named.append(known[given])
    facts: dict[str, Fact[Reply]] = {
        "allocation-id": lambda one: one["AllocationId"],
        "association-id": lambda one: one.get("AssociationId", ()),
        "instance-id": lambda one: one.get("InstanceId", ()),
        "network-interface-id": lambda one: one.get("NetworkInterfaceId", ()),
        "private-ip-address": lambda one: one.get("PrivateIpAddress", ()),
        "public-ip": lambda one: one["PublicIp"],
    }
    shown = [_shown(call, one) for one in named or known.values()]
    return {"Addresses": selected(call, shown, facts, of_reply)}


def _shown(call: Call, elastic: Elastic) -> Reply:
    found: Reply = {
        "AllocationId": elastic.id,
        "Domain": "vpc",
        "NetworkBorderGroup": call.account.region,
        "PublicIp": elastic.address,
        "PublicIpv4Pool": "amazon",
        "Tags": call.account.tag_list(elastic.id),
    }
    holder = _holder(call, elastic)
    if holder is not None:
        found |= {
            "AssociationId": elastic.association,
            "InstanceId": holder.id,
            "NetworkInterfaceId": holder.interface,
            "NetworkInterfaceOwnerId": call.account.id,
            "PrivateIpAddress": holder.address,
        }
    return found
