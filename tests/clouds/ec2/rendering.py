"""Instances as replies show them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from tests.clouds.ec2.account import Account
from tests.clouds.ec2.actions import Call, Reply
from tests.clouds.ec2.catalogue import zone_id
from tests.clouds.ec2.instances import (
    STATES,
    Instance,
    LaunchPlan,
    Phase,
    Reservation,
    transition_reason,
)


def reservations(call: Call, instances: Iterable[Instance]) -> list[Reply]:
    """Return instances, sorted by age, in the reservations that they belong to."""
    return [
        reservation(call, group[0].reservation, group)
        for _, found in groupby(instances, key=lambda one: one.reservation.id)
        for group in [list(found)]
    ]


def reservation(call: Call, made: Reservation, instances: Iterable[Instance]) -> Reply:
    """Return some of the instances that one call launched."""
    return {
        "ReservationId": made.id,
        "OwnerId": made.account,
        "Groups": [],
        "Instances": [_instance(call.account, one, call.now) for one in instances],
    }


def state(name: str) -> Reply:
    """Return a state with its code."""
    return {"Code": STATES[name], "Name": name}


def private_name(address: str) -> str:
    """Return the name that an address has inside."""
    return f"ip-{address.replace('.', '-')}.ec2.internal" if address else ""


def public_name(address: str) -> str:
    """Return the name that an address has outside."""
    return f"ec2-{address.replace('.', '-')}.compute-1.amazonaws.com" if address else ""


def _instance(account: Account, one: Instance, now: float) -> Reply:
    plan, phase = one.plan, one.phase(now)
    found: Reply = {
        "InstanceId": one.id,
        "ImageId": plan.image.id,
        "State": state(phase.state),
        "StateTransitionReason": transition_reason(phase),
        "AmiLaunchIndex": one.index,
        "ProductCodes": [],
        "InstanceType": plan.flavor.name,
        "LaunchTime": one.launched_at,
        "Placement": _placement(plan),
        "Monitoring": {"State": "enabled" if plan.monitored else "disabled"},
        "Architecture": plan.flavor.architecture,
        "RootDeviceType": "ebs",
        "RootDeviceName": "/dev/xvda",
        "VirtualizationType": "hvm",
        "Hypervisor": "xen",
        "EbsOptimized": False,
        "EnaSupport": True,
        "PlatformDetails": "Linux/UNIX",
        **_maybe(one, phase),
    }
    if tags := account.tag_list(one.id):
        found["Tags"] = tags
    return found | _network(account, one, now, ended=phase.state == "terminated")


def _placement(plan: LaunchPlan) -> Reply:
    return {
        "AvailabilityZone": plan.subnet.zone,
        "AvailabilityZoneId": zone_id(plan.subnet.zone),
        "GroupName": plan.placement_group,
        "Tenancy": plan.tenancy,
    }


def _maybe(one: Instance, phase: Phase) -> Reply:
    """Return what not every instance has."""
    plan = one.plan
    found: Reply = {
        "KeyName": plan.key_name or None,
        "ClientToken": plan.token or None,
        "SpotInstanceRequestId": one.spot_request or None,
        "InstanceLifecycle": "spot" if plan.spot else None,
    }
    if phase.reason:
        found["StateReason"] = {"Code": phase.reason, "Message": phase.message}
    if plan.profile:
        found["IamInstanceProfile"] = {"Arn": plan.profile, "Id": "AIPA0000000000000"}
    return found


def _network(account: Account, one: Instance, now: float, *, ended: bool) -> Reply:
    """Return where an instance is; a terminated one has no place any more."""
    if ended:
        return {
            "PrivateDnsName": "",
            "PublicDnsName": "",
            "SecurityGroups": [],
            "NetworkInterfaces": [],
            "BlockDeviceMappings": [],
        }
    public = one.public_address(now)
    return {
        "PrivateDnsName": private_name(one.address),
        "PublicDnsName": public_name(public),
        "PrivateIpAddress": one.address,
        "PublicIpAddress": public or None,
        "SubnetId": one.plan.subnet.id,
        "VpcId": one.plan.subnet.vpc_id,
        "SourceDestCheck": True,
        "SecurityGroups": groups(one.plan),
        "NetworkInterfaces": [_interface(account, one, public)],
        "BlockDeviceMappings": _disks(one),
    }


def groups(plan: LaunchPlan) -> list[Reply]:
    """Return the security groups of a launch."""
    return [{"GroupId": group.id, "GroupName": group.name} for group in plan.groups]


def _interface(account: Account, one: Instance, public: str) -> Reply:
    found: Reply = {
        "NetworkInterfaceId": one.interface,
        "Attachment": {
            "AttachTime": one.launched_at,
            "AttachmentId": one.attachment,
            "DeleteOnTermination": True,
            "DeviceIndex": 0,
            "Status": "attached",
        },
        "Description": "",
        "Groups": groups(one.plan),
        "OwnerId": account.id,
        "PrivateIpAddress": one.address,
        "SourceDestCheck": True,
        "Status": "in-use",
        "SubnetId": one.plan.subnet.id,
        "VpcId": one.plan.subnet.vpc_id,
        "InterfaceType": "interface",
    }
    if public:
        found["Association"] = {
            "IpOwnerId": account.id if one.elastic else "amazon",
            "PublicDnsName": public_name(public),
            "PublicIp": public,
        }
    return found


def _disks(one: Instance) -> list[dict[str, Any]]:
    return [
        {
            "DeviceName": device,
            "Ebs": {
                "AttachTime": one.launched_at,
                "DeleteOnTermination": ends,
                "Status": "attached",
                "VolumeId": volume,
            },
        }
        for (device, _, ends), volume in zip(one.plan.volumes, one.volumes, strict=True)
    ]
