"""What instances need and leave: keys, groups, addresses, placement groups, tags."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from tests.clouds.ec2.client import Api, refusal


def test_terminating_is_all_or_none(api: Api) -> None:
    (one,) = api.launch()
    ids = [one["InstanceId"], "i-0123456789abcdef0", "i-0123456789abcdef1"]
    terminate = api.ec2.terminate_instances

    with pytest.raises(Exception, match=r"IDs 'i-\w+, i-\w+' do not exist"):
        terminate(InstanceIds=ids)
    assert refusal(terminate, InstanceIds=[ids[0], "x"]) == (
        "InvalidInstanceID.Malformed"
    )
    assert refusal(terminate, InstanceIds=ids[:1], DryRun=True) == "DryRunOperation"
    assert api.state(one) in ("pending", "running")
    (change,) = terminate(InstanceIds=ids[:1])["TerminatingInstances"]
    assert change["CurrentState"]["Name"] == "shutting-down"
    api.becomes(one, "terminated")
    (change,) = terminate(InstanceIds=ids[:1])["TerminatingInstances"]
    assert change["CurrentState"]["Name"] == "terminated"


def test_instances_stop_and_start(api: Api) -> None:
    (one,) = api.launch()
    ids = [one["InstanceId"]]
    api.becomes(one, "running")
    api.ec2.stop_instances(InstanceIds=ids)
    api.becomes(one, "stopped")
    (found,) = api.listed()
    assert "PublicIpAddress" not in found
    assert found["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    api.ec2.start_instances(InstanceIds=ids)
    api.becomes(one, "running")

    (found,) = api.listed()
    assert found["PublicIpAddress"] == one["PrivateIpAddress"]


def test_what_is_on_its_way_cannot_be_turned_back(api: Api) -> None:
    stop, start = api.ec2.stop_instances, api.ec2.start_instances
    (one,) = api.launch()
    api.endpoint.behave(boot_seconds=3600.0, stop_seconds=3600.0)
    (pending,) = api.launch()
    api.becomes(one, "running")
    stop(InstanceIds=[one["InstanceId"]])

    for call, ids in (
        (stop, [one["InstanceId"], pending["InstanceId"]]),
        (start, [one["InstanceId"]]),
    ):
        assert refusal(call, InstanceIds=ids) == "IncorrectInstanceState"


def test_keys_are_checked_and_shown(api: Api, tmp_path: Path) -> None:
    import_key = api.ec2.import_key_pair
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key()
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    made = import_key(KeyName="k", PublicKeyMaterial=key)

    assert made["KeyFingerprint"] == base64.b64encode(digest).decode()
    twice = {"KeyName": "k", "PublicKeyMaterial": key}
    assert refusal(import_key, **twice) == "InvalidKeyPair.Duplicate"
    garbage = {"KeyName": "g", "PublicKeyMaterial": b"ssh-ed25519 garbage"}
    assert refusal(import_key, **garbage) == "InvalidKey.Format"
    describe = api.ec2.describe_key_pairs
    (found,) = describe(KeyNames=["k"], IncludePublicKey=True)["KeyPairs"]
    assert (found["PublicKey"].encode(), found["KeyType"]) == (key.strip(), "ed25519")
    assert refusal(describe, KeyNames=["k", "x"]) == "InvalidKeyPair.NotFound"
    for _ in range(2):
        api.ec2.delete_key_pair(KeyName="k")
    assert describe()["KeyPairs"] == []


def test_an_imported_rsa_key_has_the_fingerprint_that_openssl_prints(
    api: Api, tmp_path: Path
) -> None:
    key = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    key.write_private_key(tmp_path / "key", "pkcs8-pem")
    der = subprocess.run(
        ["openssl", "pkey", "-in", tmp_path / "key", "-pubout", "-outform", "DER"],
        capture_output=True,
        check=True,
    ).stdout
    material = key.export_public_key()
    made = api.ec2.import_key_pair(KeyName="k", PublicKeyMaterial=material)

    assert made["KeyFingerprint"] == hashlib.md5(der).digest().hex(":")


def test_a_group_lives_as_long_as_its_instances(api: Api) -> None:
    make, delete = api.ec2.create_security_group, api.ec2.delete_security_group
    group = make(GroupName="g", Description="d")["GroupId"]
    assert refusal(make, GroupName="g", Description="d") == "InvalidGroup.Duplicate"
    ssh = {
        "GroupId": group,
        "IpPermissions": [
            {
                "IpProtocol": "tcp",
                "FromPort": 22,
                "ToPort": 22,
                "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
            }
        ],
    }
    api.ec2.authorize_security_group_ingress(**ssh)
    assert refusal(api.ec2.authorize_security_group_ingress, **ssh) == (
        "InvalidPermission.Duplicate"
    )
    (one,) = api.launch(SecurityGroupIds=[group])
    assert refusal(delete, GroupId=group) == "DependencyViolation"
    api.ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
    api.becomes(one, "terminated")
    delete(GroupId=group)

    assert refusal(delete, GroupId=group) == "InvalidGroup.NotFound"
    (left,) = api.ec2.describe_security_groups()["SecurityGroups"]
    assert refusal(delete, GroupId=left["GroupId"]) == "CannotDelete"


def test_an_elastic_address_belongs_to_one_running_instance(api: Api) -> None:
    api.endpoint.behave(address_quota=1)
    address = api.ec2.allocate_address(Domain="vpc")
    given = {"AllocationId": address["AllocationId"]}
    assert refusal(api.ec2.allocate_address) == "AddressLimitExceeded"
    one, other = api.launch(2)
    associate = api.ec2.associate_address
    api.becomes(one, "running")
    made = associate(InstanceId=one["InstanceId"], **given)["AssociationId"]
    assert associate(InstanceId=one["InstanceId"], **given)["AssociationId"] == made
    assert refusal(associate, InstanceId=other["InstanceId"], **given) == (
        "Resource.AlreadyAssociated"
    )
    assert refusal(api.ec2.release_address, **given) == "InvalidIPAddress.InUse"
    api.endpoint.behave(boot_seconds=3600.0)
    (pending,) = api.launch()
    assert refusal(
        associate, InstanceId=pending["InstanceId"], AllowReassociation=True, **given
    ) == ("InvalidInstanceID")
    (found,) = api.where("ip-address", address["PublicIp"])
    assert found["InstanceId"] == one["InstanceId"]
    (shown,) = api.ec2.describe_addresses()["Addresses"]
    assert shown["InstanceId"] == one["InstanceId"]
    api.ec2.disassociate_address(AssociationId=made)
    api.ec2.release_address(**given)

    assert api.ec2.describe_addresses()["Addresses"] == []


def test_an_elastic_address_is_free_when_its_instance_has_ended(api: Api) -> None:
    address = api.ec2.allocate_address()["AllocationId"]
    (one,) = api.launch(InstanceMarketOptions={"MarketType": "spot"})
    api.becomes(one, "running")
    api.ec2.associate_address(AllocationId=address, InstanceId=one["InstanceId"])
    api.endpoint.behave(spot_loss=0.01, stop_seconds=0.01)
    api.becomes(one, "terminated")

    api.ec2.release_address(AllocationId=address)


def test_placement_groups_take_only_what_they_can(api: Api) -> None:
    make = api.ec2.create_placement_group
    make(GroupName="near", Strategy="cluster")
    near: dict[str, Any] = {"Placement": {"GroupName": "near"}}
    assert refusal(make, GroupName="near", Strategy="cluster") == (
        "InvalidPlacementGroup.Duplicate"
    )
    assert refusal(api.launch, InstanceType="t3.micro", **near) == (
        "InvalidParameterCombination"
    )
    (one,) = api.launch(**near)
    assert one["Placement"]["GroupName"] == "near"
    delete = api.ec2.delete_placement_group
    assert refusal(delete, GroupName="near") == "InvalidPlacementGroup.InUse"
    api.ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
    api.becomes(one, "terminated")
    delete(GroupName="near")

    assert refusal(delete, GroupName="near") == "InvalidPlacementGroup.Unknown"


def test_tags_come_and_go(api: Api) -> None:
    (one,) = api.launch()
    tags = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    api.ec2.create_tags(Resources=[one["InstanceId"]], Tags=tags)
    assert len(api.where("tag:a", "1")) == 1
    gone = {"Resources": [one["InstanceId"], "i-0123456789abcdef0"], "Tags": tags}
    assert refusal(api.ec2.create_tags, **gone) == "InvalidInstanceID.NotFound"
    api.ec2.delete_tags(
        Resources=[one["InstanceId"]], Tags=[{"Key": "a"}, {"Key": "b", "Value": "3"}]
    )

    (found,) = api.listed()
    assert found["Tags"] == [{"Key": "b", "Value": "2"}]


def test_accounts_do_not_see_each_other(api: Api) -> None:
    (one,) = api.launch()
    endpoint = api.endpoint
    other = Api.of(endpoint, endpoint.other_access_key, endpoint.other_secret_key)
    elsewhere = Api.of(endpoint, region="eu-west-1")

    for stranger in (other, elsewhere):
        assert stranger.listed() == []
        assert refusal(stranger.listed, InstanceIds=[one["InstanceId"]]) == (
            "InvalidInstanceID.NotFound"
        )
        stranger.ec2.close()
    assert len(endpoint.instances("pending", "running")) == 1
