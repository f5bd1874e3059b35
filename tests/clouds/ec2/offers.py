"""What can be had: images, instance types, zones, regions, limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.clouds.ec2.actions import Call, Reply, action
from tests.clouds.ec2.catalogue import (
    FLAVORS,
    IMAGE_OWNER,
    IMAGES,
    REGIONS,
    Flavor,
    Image,
    zone_id,
    zones,
)
from tests.clouds.ec2.ordering import image_of
from tests.clouds.ec2.refusals import RefusalError, invalid
from tests.clouds.ec2.selecting import Fact, ids_or_page, page, selected

Facts = dict[str, Fact[Reply]]


def _no_tags(reply: Mapping[str, Any]) -> Mapping[str, str]:
    return {}


@action(
    "DescribeImages",
    *("ExecutableUsers", "Filters", "ImageIds", "IncludeDeprecated", "MaxResults"),
    *("NextToken", "Owners"),
)
def describe_images(call: Call) -> Reply:
    """List images; one unknown id refuses all."""
    ids_or_page(call, "ImageIds")
    for image_id in call.get("ImageIds", ()):
        if image_id not in IMAGES:
            image_of({"ImageId": image_id})
    images = [IMAGES[one] for one in call.get("ImageIds", IMAGES)]
    if owners := call.get("Owners"):
        images = images if {IMAGE_OWNER, "aws-marketplace"} & set(owners) else []
    facts: Facts = {
        "architecture": lambda image: image["Architecture"],
        "image-id": lambda image: image["ImageId"],
        "is-public": lambda image: "true",
        "name": lambda image: image["Name"],
        "owner-id": lambda image: image["OwnerId"],
        "root-device-type": lambda image: image["RootDeviceType"],
        "state": lambda image: image["State"],
        "virtualization-type": lambda image: image["VirtualizationType"],
    }
    found = selected(call, [_image(image) for image in images], facts, _no_tags)
    shown, following = page(call, found, least=1)
    return {"Images": list(shown), "NextToken": following}


def _image(image: Image) -> Reply:
    root = {"DeleteOnTermination": True, "VolumeSize": image.root_gigabytes}
    return {
        "ImageId": image.id,
        "Name": image.name,
        "Description": "",
        "Architecture": image.architecture,
        "CreationDate": image.created,
        "EnaSupport": True,
        "Hypervisor": "xen",
        "ImageLocation": f"amazon/{image.name}",
        "ImageType": "machine",
        "OwnerId": IMAGE_OWNER,
        "PlatformDetails": "Linux/UNIX",
        "Public": True,
        "RootDeviceName": "/dev/xvda",
        "RootDeviceType": "ebs",
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": root}],
        "State": image.state,
        "VirtualizationType": "hvm",
    }


@action(
    "DescribeInstanceTypes",
    *("Filters", "InstanceTypes", "MaxResults", "NextToken"),
)
def describe_instance_types(call: Call) -> Reply:
    """List instance types; one unknown name refuses all."""
    ids_or_page(call, "InstanceTypes")
    names = call.get("InstanceTypes", FLAVORS)
    if missing := [name for name in names if name not in FLAVORS]:
        raise RefusalError(
            "InvalidInstanceType",
            "The following supplied instance types do not exist: "
            f"[{', '.join(missing)}]",
        )
    facts: Facts = {
        "current-generation": lambda one: "true",
        "instance-type": lambda one: one["InstanceType"],
        "processor-info.supported-architecture": lambda one: one["ProcessorInfo"][
            "SupportedArchitectures"
        ],
    }
    found = selected(call, [_flavor(FLAVORS[name]) for name in names], facts)
    shown, following = page(call, found, most=100)
    return {"InstanceTypes": list(shown), "NextToken": following}


def _flavor(flavor: Flavor) -> Reply:
    found: Reply = {
        "InstanceType": flavor.name,
        "CurrentGeneration": True,
        "FreeTierEligible": flavor.name == "t3.micro",
        "SupportedUsageClasses": ["on-demand", "spot"],
        "SupportedRootDeviceTypes": ["ebs"],
        "SupportedVirtualizationTypes": ["hvm"],
        "BareMetal": False,
        "Hypervisor": "nitro",
        "ProcessorInfo": {"SupportedArchitectures": [flavor.architecture]},
        "VCpuInfo": {"DefaultVCpus": flavor.cpus},
        "MemoryInfo": {"SizeInMiB": flavor.memory},
        "PlacementGroupInfo": {"SupportedStrategies": list(flavor.strategies)},
        "BurstablePerformanceSupported": flavor.burstable,
        "HibernationSupported": False,
    }
    if flavor.gpus:
        found["GpuInfo"] = {"Gpus": [{"Name": "V100", "Count": flavor.gpus}]}
    return found


@action(
    "DescribeInstanceTypeOfferings",
    *("Filters", "LocationType", "MaxResults", "NextToken"),
)
def describe_instance_type_offerings(call: Call) -> Reply:
    """List which types there are where."""
    kind, region = call.get("LocationType", "region"), call.account.region
    places: dict[str, dict[str, tuple[str, ...]]] = {
        "region": {region: zones(region)},
        "availability-zone": {zone: (zone,) for zone in zones(region)},
        "availability-zone-id": {zone_id(zone): (zone,) for zone in zones(region)},
    }
    if kind not in places:
        raise invalid(f"The location type {kind} is not supported here")
    offers = [
        {"InstanceType": flavor.name, "Location": place, "LocationType": kind}
        for place, inside in places[kind].items()
        for flavor in FLAVORS.values()
        if any(map(flavor.offered_in, inside))
    ]
    facts: Facts = {
        "instance-type": lambda one: one["InstanceType"],
        "location": lambda one: one["Location"],
    }
    shown, following = page(call, selected(call, offers, facts))
    return {"InstanceTypeOfferings": list(shown), "NextToken": following}


@action(
    "DescribeAvailabilityZones",
    *("AllAvailabilityZones", "Filters", "ZoneIds", "ZoneNames"),
)
def describe_availability_zones(call: Call) -> Reply:
    """List the region's zones; one unknown name refuses all."""
    region = call.account.region
    known = {zone: zone_id(zone) for zone in zones(region)}
    for given in (*call.get("ZoneNames", ()), *call.get("ZoneIds", ())):
        if given not in known and given not in known.values():
            raise invalid(f"Invalid availability zone: [{given}]")
    shown = [
        {
            "ZoneName": name,
            "ZoneId": zone,
            "RegionName": region,
            "GroupName": region,
            "NetworkBorderGroup": region,
            "OptInStatus": "opt-in-not-required",
            "State": "available",
            "ZoneType": "availability-zone",
        }
        for name, zone in known.items()
        if name in call.get("ZoneNames", known)
        and zone in call.get("ZoneIds", known.values())
    ]
    facts: Facts = {
        "opt-in-status": lambda one: one["OptInStatus"],
        "region-name": lambda one: one["RegionName"],
        "state": lambda one: one["State"],
        "zone-id": lambda one: one["ZoneId"],
        "zone-name": lambda one: one["ZoneName"],
        "zone-type": lambda one: one["ZoneType"],
    }
    return {"AvailabilityZones": selected(call, shown, facts)}


@action("DescribeRegions", "AllRegions", "Filters", "RegionNames")
def describe_regions(call: Call) -> Reply:
    """List the regions; one unknown name refuses all."""
    for given in call.get("RegionNames", ()):
        if given not in REGIONS:
            raise invalid(f"Invalid region names: [{given}]")
    shown = [
        {
            "RegionName": name,
            "Endpoint": f"ec2.{name}.amazonaws.com",
            "OptInStatus": "opt-in-not-required",
        }
        for name in call.get("RegionNames", REGIONS)
    ]
    facts: Facts = {
        "endpoint": lambda one: one["Endpoint"],
        "opt-in-status": lambda one: one["OptInStatus"],
        "region-name": lambda one: one["RegionName"],
    }
    return {"Regions": selected(call, shown, facts)}


@action("DescribeAccountAttributes", "AttributeNames")
def describe_account_attributes(call: Call) -> Reply:
    """List an account's limits and its default network."""
    attributes = {
        "supported-platforms": "VPC",
        "default-vpc": call.account.vpc_id,
        "max-instances": str(call.behaviour.quota),
        "vpc-max-elastic-ips": str(call.behaviour.address_quota),
    }
    return {
        "AccountAttributes": [
            {"AttributeName": name, "AttributeValues": [{"AttributeValue": value}]}
            for name, value in attributes.items()
            if name in call.get("AttributeNames", attributes)
        ]
    }
