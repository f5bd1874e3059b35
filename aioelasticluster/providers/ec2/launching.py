"""One order as one RunInstances request."""

from __future__ import annotations

from typing import Any

from aioelasticluster.model.tags import PREFIX
from aioelasticluster.providers.base import LaunchOrder
from aioelasticluster.providers.ec2.naming import tag_list
from aioelasticluster.providers.ec2.options import (
    USER_DATA_LIMIT,
    Ec2Options,
)
from aioelasticluster.providers.options import MADE_GROUP, Place, fitting, resource

#: An instance that bears this tag is to get an elastic address.
ELASTIC = f"{PREFIX}elastic-address"


def run_instances(order: LaunchOrder, *, least: int) -> dict[str, Any]:
    """Return the parameters of an order's request, which launches `least` or none.

    Everything is tagged in it, instances end when they shut themselves down, and
    their metadata is read with a session token only (IMDSv2).
    """
    options, place = Ec2Options.of(order.spec), Place.parsed(order.zone)
    found = order.resources
    request: dict[str, Any] = {
        "ImageId": found[resource("image", order.spec.image_id)],
        "InstanceType": place.flavor or order.spec.flavor,
        "MinCount": least,
        "MaxCount": len(order.names),
        "ClientToken": order.token,
        "KeyName": found["key"],
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"},
        "TagSpecifications": _tags(order, options),
        **_network(order, options, place),
    }
    if order.user_data:
        request["UserData"] = fitting(order.user_data, USER_DATA_LIMIT)
    if disk := _disk(order, options):
        request["BlockDeviceMappings"] = [disk]
    if profile := options.instance_profile:
        key = "Arn" if profile.startswith("arn:") else "Name"
        request["IamInstanceProfile"] = {key: profile}
    if options.on_spot:
        request["InstanceMarketOptions"] = _spot(options)
    return request


def _tags(order: LaunchOrder, options: Ec2Options) -> list[dict[str, Any]]:
    tags = {"Name": f"{order.tags.cluster}-{order.tags.kind}", **order.tags.encoded()}
    if options.request_floating_ip:
        tags[ELASTIC] = "wanted"
    kinds = ["instance", "volume", "network-interface"]
    if options.on_spot:
        kinds.append("spot-instances-request")
    listed = tag_list(tags)
    return [{"ResourceType": kind, "Tags": listed} for kind in kinds]


def _network(order: LaunchOrder, options: Ec2Options, place: Place) -> dict[str, Any]:
    """Return where instances are connected: plainly, or interface by interface."""
    found = order.resources
    kind = MADE_GROUP if options.ssh_from else "group"
    groups = found[resource(kind, order.spec.security_group)].split(",")
    placement: dict[str, str] = {}
    if options.placement_group:
        name = found[resource("placement-group", options.placement_group)]
        placement["GroupName"] = name
    subnets = [found[resource("subnet", name)] for name in options.network_ids]
    if options.subnets:
        subnets = [found[resource("subnet", place.where)]]
    elif place.where:
        placement["AvailabilityZone"] = place.where
    request: dict[str, Any] = {"Placement": placement} if placement else {}
    if len(subnets) < 2 and options.public_address is None:
        request["SecurityGroupIds"] = groups
        return request | ({"SubnetId": subnets[0]} if subnets else {})
    request["NetworkInterfaces"] = [
        _interface(index, subnet, groups, options.public_address)
        for index, subnet in enumerate(subnets or [""])
    ]
    return request


def _interface(
    index: int, subnet: str, groups: list[str], public: bool | None
) -> dict[str, Any]:
    interface: dict[str, Any] = {
        "DeviceIndex": index,
        "Groups": groups,
        "DeleteOnTermination": True,
    }
    if subnet:
        interface["SubnetId"] = subnet
    if public is not None:
        interface["AssociatePublicIpAddress"] = public
    return interface


def _disk(order: LaunchOrder, options: Ec2Options) -> dict[str, Any]:
    """Return the root disk where it is to differ from the image's own."""
    settings = {
        "VolumeSize": options.boot_disk_size,
        "VolumeType": options.boot_disk_type,
        "Iops": options.boot_disk_iops,
    }
    ebs = {key: value for key, value in settings.items() if value}
    if not ebs:
        return {}
    device = order.resources.get(resource("device", order.spec.image_id), "")
    return {
        "DeviceName": options.boot_disk_device or device,
        "Ebs": {**ebs, "DeleteOnTermination": True},
    }


def _spot(options: Ec2Options) -> dict[str, Any]:
    terms: dict[str, Any] = {
        "SpotInstanceType": "one-time",
        "InstanceInterruptionBehavior": "terminate",
    }
    if options.price:
        terms["MaxPrice"] = f"{options.price:g}"
    return {"MarketType": "spot", "SpotOptions": terms}
