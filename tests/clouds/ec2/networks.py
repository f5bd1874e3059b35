"""The default network of an account, and its subnets."""

from __future__ import annotations

from tests.clouds.ec2.actions import Call, Reply, action
from tests.clouds.ec2.addresses import Subnet
from tests.clouds.ec2.catalogue import zone_id
from tests.clouds.ec2.refusals import not_found
from tests.clouds.ec2.selecting import Fact, page, selected
from tests.clouds.ec2.tagging import of_reply


def check_vpc(call: Call, vpc: str) -> None:
    """Refuse a network that is not the account's."""
    if vpc != call.account.vpc_id:
        raise not_found("InvalidVpcID.NotFound", "vpc", [vpc])


@action("DescribeSubnets", "Filters", "MaxResults", "NextToken", "SubnetIds")
def describe_subnets(call: Call) -> Reply:
    """List the default subnets, one a zone."""
    named = [call.account.subnet(one) for one in call.get("SubnetIds", ())]
    facts: dict[str, Fact[Reply]] = {
        "availability-zone": lambda one: one["AvailabilityZone"],
        "cidr-block": lambda one: one["CidrBlock"],
        "default-for-az": lambda one: "true",
        "map-public-ip-on-launch": lambda one: str(one["MapPublicIpOnLaunch"]).lower(),
        "state": lambda one: one["State"],
        "subnet-id": lambda one: one["SubnetId"],
        "vpc-id": lambda one: one["VpcId"],
    }
    subnets = named or call.account.subnets.values()
    shown = [_shown_subnet(call, one) for one in subnets]
    found, following = page(call, selected(call, shown, facts, of_reply))
    return {"Subnets": list(found), "NextToken": following}


def _shown_subnet(call: Call, one: Subnet) -> Reply:
    return {
        "AvailabilityZone": one.zone,
        "AvailabilityZoneId": zone_id(one.zone),
        "AvailableIpAddressCount": 65000,
        "CidrBlock": one.pool.cidr,
        "DefaultForAz": True,
        "MapPublicIpOnLaunch": one.maps_public,
        "OwnerId": call.account.id,
        "State": "available",
        "SubnetId": one.id,
        "Tags": call.account.tag_list(one.id),
        "VpcId": one.vpc_id,
    }


@action("DescribeVpcs", "Filters", "MaxResults", "NextToken", "VpcIds")
def describe_vpcs(call: Call) -> Reply:
    """List the default network."""
    for vpc in call.get("VpcIds", ()):
        check_vpc(call, vpc)
    account = call.account
    shown: Reply = {
        "VpcId": account.vpc_id,
        "OwnerId": account.id,
        "State": "available",
        "IsDefault": True,
        "InstanceTenancy": "default",
        "CidrBlock": "127.0.0.0/8",
        "Tags": account.tag_list(account.vpc_id),
    }
    facts: dict[str, Fact[Reply]] = {
        "is-default": lambda one: "true",
        "isDefault": lambda one: "true",
        "state": lambda one: one["State"],
        "vpc-id": lambda one: one["VpcId"],
    }
    found, following = page(call, selected(call, [shown], facts, of_reply))
    return {"Vpcs": list(found), "NextToken": following}
