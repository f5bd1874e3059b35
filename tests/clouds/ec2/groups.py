"""Security groups: made, opened, listed, deleted."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.clouds.ec2.account import new_id, not_found_group
from tests.clouds.ec2.actions import Call, Reply, action
from tests.clouds.ec2.networks import check_vpc
from tests.clouds.ec2.refusals import RefusalError, invalid
from tests.clouds.ec2.security import Group, Rule
from tests.clouds.ec2.selecting import Fact, page, selected
from tests.clouds.ec2.tagging import of_reply, specified

_NAME = re.compile(r"[ -~]{1,255}")
_PROTOCOLS = ("tcp", "udp", "icmp", "icmpv6", "-1")


@action(
    "CreateSecurityGroup",
    *("Description", "GroupName", "TagSpecifications", "VpcId"),
)
def create_security_group(call: Call) -> Reply:
    """Make a group in the default network; the name must be free there."""
    name, account = call.get("GroupName"), call.account
    vpc = call.get("VpcId", account.vpc_id)
    if not _NAME.fullmatch(name) or name.startswith("sg-"):
        raise invalid(f"Value ({name}) for parameter GroupName is invalid.")
    if not _NAME.fullmatch(call.get("Description")):
        raise invalid("Value for parameter GroupDescription is invalid.")
    tags = specified(call, "security-group")
    check_vpc(call, vpc)
    if any(group.name == name for group in account.groups.values()):
        raise RefusalError(
            "InvalidGroup.Duplicate",
            f"The security group '{name}' already exists for VPC '{vpc}'",
        )
    call.permitted()
    group = Group(new_id("sg"), name, call.get("Description"), vpc)
    account.groups[group.id] = group
    account.tags[group.id] = tags.get("security-group", {})
    return {"GroupId": group.id, "Tags": account.tag_list(group.id)}


def _named(call: Call) -> Group:
    """Return the group that a call names by id or by name."""
    if call.get("GroupId"):
        return call.account.group(call.get("GroupId"))
    if call.get("GroupName"):
        return call.account.group_named(call.get("GroupName"))
    raise RefusalError(
        "MissingParameter",
        "The request must contain the parameter groupName or groupId",
    )


@action(
    "AuthorizeSecurityGroupIngress",
    *("CidrIp", "FromPort", "GroupId", "GroupName", "IpPermissions", "IpProtocol"),
    *("SourceSecurityGroupName", "ToPort"),
)
def authorize_security_group_ingress(call: Call) -> Reply:
    """Let something in, all or nothing."""
    group = _named(call)
    rules = [rule for given in _permissions(call) for rule in _rules(call, given)]
    known = {rule.what for rule in group.rules}
    for rule in rules:
        if rule.what in known:
            raise RefusalError(
                "InvalidPermission.Duplicate",
                f"the specified rule 'peer: {rule.source}, {rule.protocol}, from port: "
                f"{rule.from_port}, to port: {rule.to_port}, ALLOW' already exists",
            )
        known.add(rule.what)
    call.permitted()
    group.rules += rules
    return {
        "Return": True,
        "SecurityGroupRules": [_shown_rule(call, group, rule) for rule in rules],
    }


def _permissions(call: Call) -> list[Mapping[str, Any]]:
    given: list[Mapping[str, Any]] = call.get("IpPermissions", [])
    simple = {name: call.get(name) for name in ("IpProtocol", "FromPort", "ToPort")}
    if call.get("CidrIp"):
        given = [*given, simple | {"IpRanges": [{"CidrIp": call.get("CidrIp")}]}]
    if call.get("SourceSecurityGroupName"):
        source = {"GroupName": call.get("SourceSecurityGroupName")}
        given = [*given, {"IpProtocol": "-1", "UserIdGroupPairs": [source]}]
    if not given:
        raise RefusalError(
            "MissingParameter", "The request must contain the parameter ipPermissions"
        )
    return given


def _rules(call: Call, given: Mapping[str, Any]) -> Iterator[Rule]:
    protocol = str(given.get("IpProtocol", ""))
    if protocol not in _PROTOCOLS:
        raise invalid(f"Invalid value '{protocol}' for IP protocol.")
    ports = _ports(protocol, given)
    sources = [
        *((_network(one["CidrIp"], 4), one) for one in given.get("IpRanges", ())),
        *((_network(one["CidrIpv6"], 6), one) for one in given.get("Ipv6Ranges", ())),
        *((_source_group(call, one), one) for one in given.get("UserIdGroupPairs", ())),
    ]
    if not sources:
        raise invalid("A permission needs a range of addresses or a group.")
    for source, one in sources:
        yield Rule(
            new_id("sgr"), protocol, *ports, source, str(one.get("Description", ""))
        )


def _ports(protocol: str, given: Mapping[str, Any]) -> tuple[int, int]:
    if protocol == "-1":
        return -1, -1
    low, high = given.get("FromPort"), given.get("ToPort")
    if low is None or high is None:
        raise invalid(f"Invalid value for portRange: {protocol} needs both")
    if protocol in ("tcp", "udp") and not 0 <= low <= high <= 65535:
        raise invalid(f"Invalid value 'Must specify from <= to': {low}-{high}")
    return low, high


def _network(text: str, version: int) -> str:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as fault:
        raise invalid(f"CIDR block {text} is malformed") from fault
    if network.version != version:
        raise invalid(f"CIDR block {text} is malformed")
    return str(network)


def _source_group(call: Call, given: Mapping[str, Any]) -> str:
    if given.get("GroupId"):
        return call.account.group(given["GroupId"]).id
    return call.account.group_named(given.get("GroupName", "")).id


def _shown_rule(call: Call, group: Group, rule: Rule) -> Reply:
    found: Reply = {
        "SecurityGroupRuleId": rule.id,
        "GroupId": group.id,
        "GroupOwnerId": call.account.id,
        "IsEgress": False,
        "IpProtocol": rule.protocol,
        "FromPort": rule.from_port,
        "ToPort": rule.to_port,
        "Description": rule.description or None,
    }
    if rule.source.startswith("sg-"):
        found["ReferencedGroupInfo"] = {"GroupId": rule.source}
    else:
        found["CidrIpv6" if ":" in rule.source else "CidrIpv4"] = rule.source
    return found


@action(
    "DescribeSecurityGroups",
    *("Filters", "GroupIds", "GroupNames", "MaxResults", "NextToken"),
)
def describe_security_groups(call: Call) -> Reply:
    """List groups; one unknown id or name refuses all."""
    account = call.account
    named = [account.group(group_id) for group_id in call.get("GroupIds", ())]
    named += [account.group_named(name) for name in call.get("GroupNames", ())]
    groups = {group.id: group for group in named or account.groups.values()}
    facts: dict[str, Fact[Reply]] = {
        "description": lambda group: group["Description"],
        "group-id": lambda group: group["GroupId"],
        "group-name": lambda group: group["GroupName"],
        "owner-id": lambda group: group["OwnerId"],
        "vpc-id": lambda group: group["VpcId"],
    }
    shown = [_shown(call, group) for group in groups.values()]
    found, following = page(call, selected(call, shown, facts, of_reply))
    return {"SecurityGroups": list(found), "NextToken": following}


def _shown(call: Call, group: Group) -> Reply:
    everywhere = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    return {
        "GroupId": group.id,
        "GroupName": group.name,
        "Description": group.description,
        "OwnerId": call.account.id,
        "VpcId": group.vpc_id,
        "IpPermissions": _merged(call, group),
        "IpPermissionsEgress": [everywhere],
        "Tags": call.account.tag_list(group.id),
    }


def _merged(call: Call, group: Group) -> list[Reply]:
    """Return a group's rules, those of the same ports together."""
    merged: dict[tuple[str, int, int], Reply] = {}
    for rule in group.rules:
        ports = rule.protocol, rule.from_port, rule.to_port
        own: Reply = {"IpProtocol": rule.protocol}
        if rule.protocol != "-1":
            own |= {"FromPort": rule.from_port, "ToPort": rule.to_port}
        kinds = ("IpRanges", "Ipv6Ranges", "UserIdGroupPairs")
        permission = merged.setdefault(ports, own | {kind: [] for kind in kinds})
        kind, source = _shown_source(call, rule)
        permission[kind].append(source | {"Description": rule.description or None})
    return list(merged.values())


def _shown_source(call: Call, rule: Rule) -> tuple[str, Reply]:
    if rule.source.startswith("sg-"):
        return "UserIdGroupPairs", {"GroupId": rule.source, "UserId": call.account.id}
    if ":" in rule.source:
        return "Ipv6Ranges", {"CidrIpv6": rule.source}
    return "IpRanges", {"CidrIp": rule.source}


@action("DeleteSecurityGroup", "GroupId", "GroupName")
def delete_security_group(call: Call) -> Reply:
    """Delete a group that nothing uses any more."""
    group, account = _named(call), call.account
    if group.name == "default":
        raise RefusalError(
            "CannotDelete", "the specified group: default cannot be deleted by a user"
        )
    used = any(
        group in one.plan.groups and one.state(call.now) != "terminated"
        for one in account.instances.values()
    )
    referred = any(
        rule.source == group.id
        for other in account.groups.values()
        if other is not group
        for rule in other.rules
    )
    if used or referred:
        raise RefusalError(
            "DependencyViolation", f"resource {group.id} has a dependent object"
        )
    call.permitted()
    if account.groups.pop(group.id, None) is None:
        raise not_found_group(group.id)
    account.tags.pop(group.id, None)
    return {"Return": True, "GroupId": group.id}
