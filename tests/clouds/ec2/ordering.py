"""What a launch asks for, checked: image, type, network, keys, disks."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.clouds.ec2.account import Account
from tests.clouds.ec2.addresses import Subnet
from tests.clouds.ec2.catalogue import FLAVORS, IMAGES, Flavor, Image, zones
from tests.clouds.ec2.instances import LaunchPlan
from tests.clouds.ec2.refusals import RefusalError, invalid
from tests.clouds.ec2.security import Group

#: The names of the instance profiles that every account has.
PROFILES = frozenset({"workers"})

#: The most that user-data may have (bytes), before it is encoded.
_LONGEST_USER_DATA = 16384

Order = Mapping[str, Any]


def planned(
    order: Order, account: Account, subnet: Subnet, *, spot: bool
) -> LaunchPlan:
    """Return the plan for a launch into a subnet; refuse what cannot be."""
    image, flavor = image_of(order), flavor_of(order)
    if image.architecture != flavor.architecture:
        raise invalid(
            f"The architecture '{flavor.architecture}' of the specified instance type "
            f"does not match the architecture '{image.architecture}' of the specified "
            "AMI. Specify an instance type and an AMI that have matching architectures."
        )
    pair = _key_pair(order, account)
    interface = _interface(order)
    return LaunchPlan(
        image=image,
        flavor=flavor,
        subnet=subnet,
        groups=_groups(order, account),
        key_name=pair[0],
        public_key=pair[1],
        user_data=user_data(order.get("UserData", "")),
        token=order.get("ClientToken", ""),
        public=bool(interface.get("AssociatePublicIpAddress", subnet.maps_public)),
        spot=spot,
        ends_when_shut_down=order.get("InstanceInitiatedShutdownBehavior")
        == "terminate",
        protected=bool(order.get("DisableApiTermination")),
        monitored=bool(order.get("Monitoring", {}).get("Enabled")),
        placement_group=_placement_group(order, account, flavor),
        tenancy=order.get("Placement", {}).get("Tenancy", "default"),
        profile=_profile(order),
        volumes=_volumes(order, image),
    )


def image_of(order: Order) -> Image:
    """Return the image that is asked for."""
    given = order.get("ImageId", "")
    if not given:
        raise RefusalError(
            "MissingParameter", "The request must contain the parameter ImageId"
        )
    if not re.fullmatch(r"ami-([0-9a-f]{8}|[0-9a-f]{17})", given):
        raise RefusalError("InvalidAMIID.Malformed", f'Invalid id: "{given}"')
    image = IMAGES.get(given)
    if image is None:
        raise RefusalError(
            "InvalidAMIID.NotFound", f"The image id '[{given}]' does not exist"
        )
    if image.state != "available":
        raise RefusalError(
            "InvalidAMIID.Unavailable", f"The image ID '{given}' is not available"
        )
    return image


def flavor_of(order: Order) -> Flavor:
    """Return the instance type that is asked for; EC2's default is not offered here."""
    given = order.get("InstanceType", "m1.small")
    if given not in FLAVORS:
        raise invalid(f"Invalid value '{given}' for InstanceType.")
    return FLAVORS[given]


def asked_zone(order: Order, account: Account) -> str:
    """Return the zone that an order names, also by its subnet; "" for any."""
    interface = _interface(order)
    zone = str(order.get("Placement", {}).get("AvailabilityZone", ""))
    if zone and zone not in zones(account.region):
        raise invalid(f"Invalid availability zone: [{zone}]")
    subnet_id = order.get("SubnetId") or interface.get("SubnetId")
    if not subnet_id:
        return zone
    subnet = account.subnet(subnet_id)
    if zone and subnet.zone != zone:
        raise invalid(
            f"The availability zone '{zone}' does not match the subnet's "
            f"'{subnet.zone}'"
        )
    return subnet.zone


def _interface(order: Order) -> Mapping[str, Any]:
    """Return the one network interface that an order describes, or nothing."""
    interfaces: Sequence[Mapping[str, Any]] = order.get("NetworkInterfaces", ())
    if not interfaces:
        return {}
    for name in ("SubnetId", "SecurityGroupIds", "SecurityGroups"):
        if order.get(name):
            raise _together(
                "Network interfaces and an instance-level "
                f"{'subnet ID' if name == 'SubnetId' else 'security groups'} may not "
                "be specified on the same request"
            )
    if len(interfaces) > 1:
        raise RefusalError(
            "UnsupportedOperation", "Only one network interface is supported here"
        )
    (interface,) = interfaces
    known = {"AssociatePublicIpAddress", "DeleteOnTermination", "Description"}
    known |= {"DeviceIndex", "Groups", "SubnetId", "InterfaceType"}
    if unknown := sorted(interface.keys() - known):
        raise RefusalError(
            "UnsupportedOperation",
            f"NetworkInterfaces do not support {', '.join(unknown)} here",
        )
    if interface.get("DeviceIndex") != 0:
        raise invalid("Each network interface requires a device index; the first is 0.")
    return interface


def _groups(order: Order, account: Account) -> tuple[Group, ...]:
    names = order.get("SecurityGroups", ())
    if names and order.get("SubnetId"):
        raise _together(
            "The parameter groupName cannot be used with the parameter subnet"
        )
    ids = [*order.get("SecurityGroupIds", ()), *_interface(order).get("Groups", ())]
    found = [account.group(group_id) for group_id in ids]
    found += [account.group_named(name) for name in names]
    unique = {group.id: group for group in found}
    return tuple(unique.values()) or (account.group_named("default"),)


def _key_pair(order: Order, account: Account) -> tuple[str, str]:
    name = order.get("KeyName", "")
    if not name:
        return "", ""
    if name not in account.key_pairs:
        raise RefusalError(
            "InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist"
        )
    return name, account.key_pairs[name].material


def user_data(text: str) -> bytes:
    """Return user-data decoded; refuse what is too long or not base64."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as fault:
        raise RefusalError(
            "InvalidUserData.Malformed", "Invalid BASE64 encoding of user data."
        ) from fault
    if len(data) > _LONGEST_USER_DATA:
        raise invalid(f"User data is limited to {_LONGEST_USER_DATA} bytes")
    return data


def _placement_group(order: Order, account: Account, flavor: Flavor) -> str:
    name = str(order.get("Placement", {}).get("GroupName", ""))
    if not name:
        return ""
    group = account.placement_groups.get(name)
    if group is None:
        raise RefusalError(
            "InvalidPlacementGroup.Unknown", f"The placement group '{name}' is unknown."
        )
    if group.strategy not in flavor.strategies:
        raise RefusalError(
            "InvalidParameterCombination",
            f"{group.strategy.title()} placement groups are not supported by the "
            f"'{flavor.name}' instance type.",
        )
    return name


def _profile(order: Order) -> str:
    given = order.get("IamInstanceProfile", {})
    if given.get("Arn") and given.get("Name"):
        raise _together("Either the name or the ARN of an instance profile is given")
    name = str(given.get("Arn") or given.get("Name") or "")
    if name and name.rpartition("/")[2] not in PROFILES:
        key, kind = ("arn", "ARN") if given.get("Arn") else ("name", "name")
        raise invalid(
            f"Value ({name}) for parameter iamInstanceProfile.{key} is invalid. "
            f"Invalid IAM Instance Profile {kind}"
        )
    return name


def _volumes(order: Order, image: Image) -> tuple[tuple[str, int, bool], ...]:
    found = {"/dev/xvda": (image.root_gigabytes, True)}
    for mapping in order.get("BlockDeviceMappings", ()):
        device, ebs = mapping.get("DeviceName", ""), mapping.get("Ebs", {})
        root = device == "/dev/xvda"
        size = ebs.get("VolumeSize", image.root_gigabytes if root else 0)
        if not device or size < (image.root_gigabytes if root else 1):
            raise RefusalError(
                "InvalidBlockDeviceMapping",
                f"Volume of size {size}GB for '{device}' is too small",
            )
        found[device] = size, bool(ebs.get("DeleteOnTermination", True))
    return tuple((device, size, ends) for device, (size, ends) in found.items())


def _together(message: str) -> RefusalError:
    return RefusalError("InvalidParameterCombination", message)
