"""The one request that an order becomes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aioelasticluster import InvalidRequestError
from aioelasticluster.providers.ec2.launching import run_instances
from tests.providers.ec2.samples import order
from tests.providers.samples import TOKEN


def request(*names: str, zone: str = "", **options: Any) -> dict[str, Any]:
    return run_instances(order(*names, zone=zone, **options), least=1)


def test_a_batch_is_one_request_under_the_orders_token() -> None:
    asked = request("compute001", "compute002", "compute003")
    assert (asked["MinCount"], asked["MaxCount"]) == (1, 3)
    assert asked["ClientToken"] == TOKEN
    assert asked["SecurityGroupIds"] == ["sg-1"]


def test_everything_is_tagged_in_the_call() -> None:
    always = {"instance", "volume", "network-interface"}
    for spot, kinds in ((False, always), (True, always | {"spot-instances-request"})):
        asked = request(spot=spot)["TagSpecifications"]
        assert {tags["ResourceType"] for tags in asked} == kinds
        for tags in asked:
            assert {"Key": "aioec-token", "Value": TOKEN} in tags["Tags"]


def test_instances_end_when_they_shut_themselves_down() -> None:
    asked = request()
    assert asked["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert asked["MetadataOptions"]["HttpTokens"] == "required"


def test_a_place_says_zone_and_flavor() -> None:
    asked = request(zone="b + c5.xlarge", zones=["a", "b"], flavors=["c5.xlarge"])
    assert asked["Placement"] == {"AvailabilityZone": "b"}
    assert asked["InstanceType"] == "c5.xlarge"


def test_a_place_may_be_a_subnet() -> None:
    asked = request(zone="blue", subnets=["red", "blue"], placement_group="near")
    assert asked["SubnetId"] == "id-of-blue"
    assert asked["Placement"] == {"GroupName": "near"}


def test_several_networks_are_several_interfaces() -> None:
    first, second = request(network_ids=["red", "blue"])["NetworkInterfaces"]
    assert (first["DeviceIndex"], first["SubnetId"]) == (0, "id-of-red")
    assert (second["DeviceIndex"], second["SubnetId"]) == (1, "id-of-blue")
    assert first["Groups"] == second["Groups"] == ["sg-1"]
    assert first["DeleteOnTermination"]


def test_a_public_address_is_asked_of_the_interface() -> None:
    asked = request(public_address=False)
    assert asked["NetworkInterfaces"] == [
        {
            "DeviceIndex": 0,
            "Groups": ["sg-1"],
            "DeleteOnTermination": True,
            "AssociatePublicIpAddress": False,
        }
    ]
    assert "SecurityGroupIds" not in asked


def test_the_boot_disk_is_the_images_device_unless_it_is_named() -> None:
    (disk,) = request(boot_disk_size=40, boot_disk_type="gp3", boot_disk_iops=4000)[
        "BlockDeviceMappings"
    ]
    assert disk["DeviceName"] == "/dev/xvda"
    assert disk["Ebs"] == {
        "VolumeSize": 40,
        "VolumeType": "gp3",
        "Iops": 4000,
        "DeleteOnTermination": True,
    }
    (named,) = request(boot_disk_size=9, boot_disk_device="/dev/sda1")[
        "BlockDeviceMappings"
    ]
    assert named["DeviceName"] == "/dev/sda1"


def test_spot_instances_are_asked_for_once_and_end_when_they_are_lost() -> None:
    asked = request(price=0.031)["InstanceMarketOptions"]
    assert asked["SpotOptions"] == {
        "SpotInstanceType": "one-time",
        "InstanceInterruptionBehavior": "terminate",
        "MaxPrice": "0.031",
    }
    assert "MaxPrice" not in request(spot=True)["InstanceMarketOptions"]["SpotOptions"]


@pytest.mark.parametrize(
    ("profile", "asked"),
    [
        ("worker", {"Name": "worker"}),
        (
            "arn:aws:iam::1:instance-profile/w",
            {"Arn": "arn:aws:iam::1:instance-profile/w"},
        ),
    ],
)
def test_a_profile_is_named_or_given_by_arn(
    profile: str, asked: dict[str, str]
) -> None:
    assert request(instance_profile=profile)["IamInstanceProfile"] == asked


def test_user_data_that_is_too_long_is_not_sent() -> None:
    long = replace(order(), user_data="x" * 16385)
    with pytest.raises(InvalidRequestError, match=r"16385.*16384.*image_userdata"):
        run_instances(long, least=1)
