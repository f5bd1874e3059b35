"""RunInstances on the test server: counts, tokens, capacity, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clouds.ec2.client import Api, refusal


def test_a_batch_has_indices_and_one_reservation(api: Api) -> None:
    launched = api.launch(5)

    assert [one["AmiLaunchIndex"] for one in launched] == [0, 1, 2, 3, 4]
    assert {one["State"]["Name"] for one in launched} == {"pending"}
    assert len(api.ec2.describe_instances()["Reservations"]) == 1
    assert len({one["PrivateIpAddress"] for one in launched}) == 5
    assert all("PublicIpAddress" not in one for one in launched)


def test_a_repeated_token_launches_nothing_new(api: Api) -> None:
    zone = {"AvailabilityZone": "us-east-1a"}
    first = api.launch(2, ClientToken="once", Placement=zone)
    api.becomes(first[0], "running")
    again = api.launch(2, ClientToken="once", Placement=zone)

    assert [one["InstanceId"] for one in again] == [one["InstanceId"] for one in first]
    assert {one["State"]["Name"] for one in again} == {"running"}
    assert len(api.listed()) == 2
    assert len(api.where("client-token", "once")) == 2


def test_a_token_with_other_parameters_is_refused(api: Api) -> None:
    api.launch(2, ClientToken="once")

    assert refusal(api.launch, least=3, ClientToken="once") == (
        "IdempotentParameterMismatch"
    )
    assert len(api.listed()) == 2


def test_a_token_in_another_zone_launches_more(api: Api) -> None:
    for zone in ("us-east-1a", "us-east-1b"):
        api.launch(2, ClientToken="once", Placement={"AvailabilityZone": zone})

    assert len(api.listed()) == 4


def test_a_subnet_counts_as_its_zone_for_a_token(api: Api) -> None:
    subnets = api.ec2.describe_subnets()["Subnets"]
    for subnet in subnets:
        api.launch(1, ClientToken="once", SubnetId=subnet["SubnetId"])

    found = {one["Placement"]["AvailabilityZone"] for one in api.listed()}
    assert found == set(api.endpoint.zones)


def test_a_part_is_launched_where_not_all_fit(api: Api) -> None:
    api.endpoint.behave(capacity={"": 3})

    assert len(api.launch(1, 10)) == 3
    assert refusal(api.launch, least=1) == "InsufficientInstanceCapacity"
    assert len(api.listed()) == 3


def test_nothing_is_launched_if_fewer_fit_than_asked(api: Api) -> None:
    api.endpoint.behave(capacity={"us-east-1a/c5.large": 3, "us-east-1b": 1})
    in_a: dict[str, Any] = {"Placement": {"AvailabilityZone": "us-east-1a"}}
    in_b: dict[str, Any] = {"Placement": {"AvailabilityZone": "us-east-1b"}}

    assert refusal(api.launch, least=4, **in_a) == "InsufficientInstanceCapacity"
    assert refusal(api.launch, least=2, **in_b) == "InsufficientInstanceCapacity"
    assert api.listed() == []
    assert len(api.launch(4, InstanceType="m5.large", **in_a)) == 4
    # Without a zone, the cloud takes the one with the most room.
    assert api.launch(9)[0]["Placement"]["AvailabilityZone"] == "us-east-1c"


def test_ended_instances_make_room(api: Api) -> None:
    api.endpoint.behave(capacity={"": 2}, stop_seconds=3600.0)
    slow, quick = api.launch(2)
    api.ec2.terminate_instances(InstanceIds=[slow["InstanceId"]])
    assert refusal(api.launch) == "InsufficientInstanceCapacity"
    api.endpoint.behave(stop_seconds=0.0)
    api.ec2.terminate_instances(InstanceIds=[quick["InstanceId"]])

    assert len(api.launch()) == 1


def test_the_quota_is_the_accounts(api: Api) -> None:
    api.endpoint.behave(quota=3)
    other = Api.of(
        api.endpoint, api.endpoint.other_access_key, api.endpoint.other_secret_key
    )

    assert len(api.launch(1, 5)) == 3
    assert refusal(api.launch) == "InstanceLimitExceeded"
    assert len(other.launch(3)) == 3
    other.ec2.close()


def test_a_dry_run_says_what_would_be(api: Api) -> None:
    assert refusal(api.launch, DryRun=True) == "DryRunOperation"
    assert refusal(api.launch, DryRun=True, KeyName="none") == (
        "InvalidKeyPair.NotFound"
    )
    assert api.listed() == []


def test_everything_is_tagged_in_the_call_itself(api: Api) -> None:
    def tagged(kind: str) -> dict[str, Any]:
        return {"ResourceType": kind, "Tags": [{"Key": "of", "Value": kind}]}

    kinds = ["instance", "network-interface", "spot-instances-request", "volume"]
    (one,) = api.launch(
        TagSpecifications=[tagged(kind) for kind in kinds],
        InstanceMarketOptions={"MarketType": "spot"},
    )

    tags = api.ec2.describe_tags()["Tags"]
    assert sorted(tag["ResourceType"] for tag in tags) == kinds
    assert all(tag["Value"] == tag["ResourceType"] for tag in tags)
    assert one["InstanceLifecycle"] == "spot"
    (request,) = api.ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert request["SpotInstanceRequestId"] == one["SpotInstanceRequestId"]
    assert (request["State"], request["InstanceId"]) == ("active", one["InstanceId"])


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({"ImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound"),
        ({"ImageId": "debian"}, "InvalidAMIID.Malformed"),
        ({"InstanceType": "z9.huge"}, "InvalidParameterValue"),
        ({"InstanceType": "t4g.small"}, "InvalidParameterValue"),
        ({"KeyName": "none"}, "InvalidKeyPair.NotFound"),
        ({"SecurityGroups": ["none"]}, "InvalidGroup.NotFound"),
        ({"SecurityGroupIds": ["none"]}, "InvalidGroupId.Malformed"),
        ({"SubnetId": "subnet-0"}, "InvalidSubnetID.NotFound"),
        ({"Placement": {"AvailabilityZone": "moon-1a"}}, "InvalidParameterValue"),
        ({"Placement": {"GroupName": "none"}}, "InvalidPlacementGroup.Unknown"),
        ({"MaxCount": 0}, "InvalidParameterValue"),
        ({"UserData": "x" * 16385}, "InvalidParameterValue"),
        ({"ClientToken": "x" * 65}, "InvalidParameterValue"),
        (
            {"SecurityGroupIds": ["sg-1"], "NetworkInterfaces": [{"DeviceIndex": 0}]},
            "InvalidParameterCombination",
        ),
        (
            {
                "InstanceType": "p3.2xlarge",
                "Placement": {"AvailabilityZone": "us-east-1b"},
            },
            "Unsupported",
        ),
        ({"LaunchTemplate": {"LaunchTemplateName": "x"}}, "UnsupportedOperation"),
    ],
    ids=str,
)
def test_an_impossible_order_is_refused(
    api: Api, order: dict[str, Any], code: str
) -> None:
    assert refusal(api.launch, **order) == code
    assert api.listed() == []


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ([{"Key": f"k{i}", "Value": ""} for i in range(51)], "TagLimitExceeded"),
        ([{"Key": "k" * 129, "Value": ""}], "InvalidParameterValue"),
        ([{"Key": "k", "Value": "v" * 257}], "InvalidParameterValue"),
        ([{"Key": "aws:k", "Value": "v"}], "InvalidParameterValue"),
        ([{"Key": "k", "Value": "v"}] * 2, "InvalidParameterValue"),
    ],
    ids=["too many", "long key", "long value", "reserved", "twice"],
)
def test_impossible_tags_are_refused(api: Api, tags: Any, code: str) -> None:
    specified = [{"ResourceType": "instance", "Tags": tags}]
    assert refusal(api.launch, TagSpecifications=specified) == code


def test_the_longest_user_data_fits(api: Api) -> None:
    assert len(api.launch(UserData="x" * 16384)) == 1


def test_some_never_run_and_say_why(api: Api) -> None:
    api.endpoint.behave(boot_failures={"Client.VolumeLimitExceeded": 1})
    failed, fine = api.launch(2)
    api.becomes(failed, "terminated")
    api.becomes(fine, "running")

    (found,) = api.listed(InstanceIds=[failed["InstanceId"]])
    assert found["StateReason"]["Code"] == "Client.VolumeLimitExceeded"
    assert found["StateTransitionReason"].startswith("Client.VolumeLimitExceeded")


def test_spot_instances_are_reclaimed(api: Api) -> None:
    (spot,) = api.launch(InstanceMarketOptions={"MarketType": "spot"})
    (other,) = api.launch()
    api.becomes(spot, "running")
    api.endpoint.behave(spot_loss=0.05, stop_seconds=0.05)
    api.becomes(spot, "terminated")

    (found,) = api.listed(InstanceIds=[spot["InstanceId"]])
    assert found["StateReason"]["Code"] == "Server.SpotInstanceTermination"
    assert api.state(other) == "running"


def test_spot_requests_wait_where_there_is_no_room(api: Api) -> None:
    api.endpoint.behave(capacity={"": 2})
    order = {"ImageId": api.endpoint.image_id, "InstanceType": api.endpoint.flavor}
    api.ec2.request_spot_instances(InstanceCount=3, LaunchSpecification=order)

    found = api.ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert sorted(one["State"] for one in found) == ["active", "active", "open"]
    (waiting,) = [one for one in found if one["State"] == "open"]
    ids = [waiting["SpotInstanceRequestId"]]
    api.ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=ids)
    (found,) = api.ec2.describe_spot_instance_requests(SpotInstanceRequestIds=ids)[
        "SpotInstanceRequests"
    ]
    assert found["State"] == "cancelled"
