"""What the test server lists, on which page, and how long after it was made."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clouds.ec2.client import Api, refusal
from tests.clouds.endpoint import eventually


def test_pages_hold_each_instance_once(api: Api) -> None:
    for _ in range(3):
        api.launch(4)
    pages = list(
        api.ec2.get_paginator("describe_instances").paginate(
            PaginationConfig={"PageSize": 5}
        )
    )

    found = [[_ids(part) for part in page["Reservations"]] for page in pages]
    assert [sum(map(len, page)) for page in found] == [5, 5, 2]
    shown = [identifier for page in found for part in page for identifier in part]
    assert shown == [one["InstanceId"] for one in api.listed()]


def _ids(reservation: Any) -> list[str]:
    return [one["InstanceId"] for one in reservation["Instances"]]


def test_a_token_of_another_query_is_refused(api: Api) -> None:
    api.launch(6)
    token = api.ec2.describe_instances(MaxResults=5)["NextToken"]
    running = [{"Name": "instance-state-name", "Values": ["running"]}]

    describe = api.ec2.describe_instances
    assert refusal(describe, NextToken=token, Filters=running) == "InvalidNextToken"
    assert refusal(describe, NextToken="x") == "InvalidNextToken"
    assert len(api.listed(NextToken=token)) == 1


def test_ids_do_not_go_with_pages(api: Api) -> None:
    (one,) = api.launch()
    describe = api.ec2.describe_instances
    ids = [one["InstanceId"]]

    assert refusal(describe, InstanceIds=ids, MaxResults=5) == (
        "InvalidParameterCombination"
    )
    assert refusal(describe, MaxResults=4) == "InvalidParameterValue"
    assert refusal(describe, MaxResults=1001) == "InvalidParameterValue"


def test_filters_narrow(api: Api) -> None:
    tag = {"Key": "aioec-token", "Value": "t-1"}
    specified = [{"ResourceType": "instance", "Tags": [tag]}]
    (one,) = api.launch(TagSpecifications=specified, ClientToken="abc")
    api.launch(2, InstanceType="t3.micro")
    api.becomes(one, "running")

    for name, value in {
        "availability-zone": one["Placement"]["AvailabilityZone"],
        "client-token": "abc",
        "instance-id": one["InstanceId"],
        "instance-type": "c5.*",
        "ip-address": one["PrivateIpAddress"],
        "private-ip-address": one["PrivateIpAddress"],
        "tag-key": "aioec-?oken",
        "tag:aioec-token": "t-1",
    }.items():
        found = [one["InstanceId"] for one in api.where(name, value, "nothing")]
        assert one["InstanceId"] in found, name
        assert len(found) == (3 if name == "availability-zone" else 1), name
    assert len(api.where("instance-type", "c5.large", "t3.micro")) == 3
    assert api.where("tag:aioec-token", "t-2") == []
    assert api.where("instance-type", "c5?large\\*") == []


def test_filters_have_limits(api: Api) -> None:
    api.launch()
    where = [{"Name": "instance-id", "Values": [f"i-{i}" for i in range(201)]}]
    assert refusal(api.listed, Filters=where) == "FilterLimitExceeded"
    where = [{"Name": "instance-ids", "Values": ["i-1"]}]
    assert refusal(api.listed, Filters=where) == "InvalidParameterValue"


def test_fresh_instances_are_hidden_and_block_their_batch(api: Api) -> None:
    (old,) = api.launch()
    api.endpoint.behave(list_lag=3600.0)
    (fresh,) = api.launch(ClientToken="fresh")
    ids = [old["InstanceId"], fresh["InstanceId"]]

    assert [one["InstanceId"] for one in api.listed()] == [old["InstanceId"]]
    assert api.where("client-token", "fresh") == []
    assert refusal(api.listed, InstanceIds=ids) == "InvalidInstanceID.NotFound"
    assert refusal(api.ec2.terminate_instances, InstanceIds=ids) == (
        "InvalidInstanceID.NotFound"
    )
    assert len(api.endpoint.instances()) == 2
    (again,) = api.launch(ClientToken="fresh")
    assert again["InstanceId"] == fresh["InstanceId"]


def test_hidden_instances_appear(api: Api) -> None:
    api.endpoint.behave(list_lag=0.1)
    (one,) = api.launch()
    eventually(api.listed)

    assert len(api.listed(InstanceIds=[one["InstanceId"]])) == 1


def test_ended_instances_are_listed_for_a_while(api: Api) -> None:
    (one,) = api.launch()
    api.endpoint.behave(stop_seconds=0.0)
    api.ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
    (found,) = api.listed()
    assert found["State"]["Name"] == "terminated"
    assert "PrivateIpAddress" not in found
    api.endpoint.behave(terminated_listed=0.0)

    assert api.listed() == []


@pytest.mark.parametrize("identifier", ["i-1", "i-0123456789ABCDEF0", "nothing"])
def test_malformed_ids_are_told_from_unknown_ones(api: Api, identifier: str) -> None:
    assert refusal(api.listed, InstanceIds=[identifier]) == (
        "InvalidInstanceID.Malformed"
    )


def test_what_a_region_offers(api: Api) -> None:
    zones = api.ec2.describe_availability_zones()["AvailabilityZones"]
    assert tuple(zone["ZoneName"] for zone in zones) == api.endpoint.zones
    types = api.ec2.describe_instance_types(InstanceTypes=["c5.large"])
    assert types["InstanceTypes"][0]["VCpuInfo"]["DefaultVCpus"] == 2
    offers = api.ec2.describe_instance_type_offerings(
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": ["p3.*"]}],
    )["InstanceTypeOfferings"]
    assert [offer["Location"] for offer in offers] == ["us-east-1a"]
    (image,) = api.ec2.describe_images(ImageIds=[api.endpoint.image_id])["Images"]
    assert image["State"] == "available"
    assert len(api.ec2.describe_regions()["Regions"]) == 2
    attributes = api.ec2.describe_account_attributes()["AccountAttributes"]
    assert {one["AttributeName"] for one in attributes} >= {"default-vpc"}
    (vpc,) = api.ec2.describe_vpcs()["Vpcs"]
    subnets = api.ec2.describe_subnets()["Subnets"]
    assert {subnet["VpcId"] for subnet in subnets} == {vpc["VpcId"]}


def test_disks_and_health_follow_their_instance(api: Api) -> None:
    describe = api.ec2.describe_instance_status
    (one,) = api.launch()
    api.endpoint.behave(boot_seconds=3600.0, stop_seconds=0.0)
    (slow,) = api.launch()
    api.becomes(one, "running")

    (status,) = describe()["InstanceStatuses"]
    assert (status["InstanceId"], status["InstanceStatus"]["Status"]) == (
        one["InstanceId"],
        "ok",
    )
    assert len(describe(IncludeAllInstances=True)["InstanceStatuses"]) == 2
    api.ec2.terminate_instances(InstanceIds=[slow["InstanceId"]])
    (volume,) = api.ec2.describe_volumes()["Volumes"]
    assert volume["Attachments"][0]["InstanceId"] == one["InstanceId"]
