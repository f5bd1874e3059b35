"""What users may wish of EC2: every option reaches it, and goes with the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from aioelasticluster import Cluster, NodeSpec
from aioelasticluster.errors import StartError
from aioelasticluster.providers.base import Preparation
from tests.clouds.clusters import KEY_NAME, made, new_key
from tests.clouds.ec2.client import Api
from tests.clouds.ec2.clusters import cluster_on, provider_for, quicken
from tests.clouds.ec2.running import Ec2Endpoint, why_no_hosts

needs_hosts = pytest.mark.skipif(bool(why_no_hosts()), reason=why_no_hosts())


@pytest.fixture(autouse=True)
def quick(ec2: Ec2Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)
    ec2.behave(boot_seconds=0.05, stop_seconds=0.05)


async def launched(api: Api, folder: Path, **wishes: Any) -> Mapping[str, Any]:
    """Start a cluster of one node that has some wishes; return its instance."""
    cluster = cluster_on(api.endpoint, folder, 1, **wishes)
    assert (await cluster.start(timeout=10)).ok
    (node,) = cluster.get_all_nodes()
    (instance,) = api.listed(InstanceIds=[node.instance_id])
    public = instance.get("PublicIpAddress", instance["PrivateIpAddress"])
    assert node.addresses[0] == public
    return instance  # type: ignore[no-any-return]


def asked(api: Api) -> Mapping[str, Any]:
    """Return the parameters of the one launch."""
    (request,) = api.endpoint.requests("RunInstances")
    return request["parameters"]  # type: ignore[no-any-return]


def called(api: Api, resource: str, name: str) -> None:
    """Give a resource a name, as users do."""
    api.ec2.create_tags(Resources=[resource], Tags=[{"Key": "Name", "Value": name}])


def group(api: Api, name: str) -> str:
    """Make a security group of the user's; return its id."""
    answer = api.ec2.create_security_group(GroupName=name, Description=name)
    return str(answer["GroupId"])


# Where instances are


async def test_a_zone_is_where_instances_go(api: Api, tmp_path: Path) -> None:
    found = await launched(api, tmp_path, zones="us-east-1b")
    assert found["Placement"]["AvailabilityZone"] == "us-east-1b"


@pytest.mark.parametrize("option", ["subnets", "network_ids"])
@pytest.mark.parametrize("by", ["id", "name"])
async def test_a_subnet_is_where_instances_go(
    api: Api, tmp_path: Path, option: str, by: str
) -> None:
    subnet = api.ec2.describe_subnets()["Subnets"][-1]
    called(api, subnet["SubnetId"], "lab")
    text = subnet["SubnetId"] if by == "id" else "lab"
    found = await launched(api, tmp_path, **{option: text})
    assert found["SubnetId"] == subnet["SubnetId"]


async def test_places_are_tried_in_the_order_given_the_first_flavor_first(
    ec2: Ec2Endpoint, tmp_path: Path
) -> None:
    zones, flavors = ["us-east-1b", "us-east-1a"], ["m5.large", "c5.4xlarge"]
    ec2.behave(capacity={"": 0})
    cluster = cluster_on(ec2, tmp_path, 1, zones=zones, flavors=flavors)
    with pytest.raises(StartError):
        await cluster.start(timeout=10)
    orders = [one["parameters"] for one in ec2.requests("RunInstances")]
    places = [(o["InstanceType"], o["Placement"]["AvailabilityZone"]) for o in orders]

    assert places == [
        (flavor, zone) for flavor in ("c5.large", *flavors) for zone in zones
    ]


async def test_public_addresses_may_be_left_out(api: Api, tmp_path: Path) -> None:
    found = await launched(api, tmp_path, public_address=False)
    assert "PublicIpAddress" not in found
    assert [one["GroupName"] for one in found["SecurityGroups"]] == ["default"]


async def test_public_addresses_may_be_asked_for(api: Api, tmp_path: Path) -> None:
    found = await launched(api, tmp_path, public_address=True)
    assert found["PublicIpAddress"]
    (interface,) = asked(api)["NetworkInterfaces"]
    assert interface["AssociatePublicIpAddress"] is True


async def test_a_placement_group_is_made_for_the_cluster(
    api: Api, tmp_path: Path
) -> None:
    found = await launched(api, tmp_path, placement_group="close")
    (name,) = made(api.endpoint)["placement_groups"]
    assert found["Placement"]["GroupName"] == name
    assert name.startswith("close-")


async def test_the_user_s_own_placement_group_is_used_and_stays(
    api: Api, tmp_path: Path
) -> None:
    api.ec2.create_placement_group(GroupName="close", Strategy="cluster")
    cluster = cluster_on(api.endpoint, tmp_path, 2, placement_group="close")
    await cluster.start(timeout=10)
    assert {one["Placement"]["GroupName"] for one in api.listed()} == {"close"}
    await cluster.stop()

    assert made(api.endpoint) == {"placement_groups": ["close"]}


# What they are


@pytest.mark.parametrize(
    "text", ["debian-12-amd64-20261101-1", "debian-12-amd64-*", "136693071363/*-amd64*"]
)
async def test_an_image_may_be_named_the_newest_that_can_be_used_counts(
    api: Api, tmp_path: Path, text: str
) -> None:
    found = await launched(api, tmp_path, image_id=text)
    assert found["ImageId"] == "ami-0debd12a0000000a1"


@pytest.mark.parametrize(
    "profile", ["workers", "arn:aws:iam::111122223333:instance-profile/workers"]
)
async def test_an_instance_profile_is_given_by_name_or_arn(
    api: Api, tmp_path: Path, profile: str
) -> None:
    found = await launched(api, tmp_path, instance_profile=profile)
    assert found["IamInstanceProfile"]["Arn"] == profile
    assert list(asked(api)["IamInstanceProfile"]) == [
        "Arn" if profile.startswith("arn:") else "Name"
    ]


async def test_the_root_disk_is_as_asked_for(api: Api, tmp_path: Path) -> None:
    disk = {"boot_disk_size": 40, "boot_disk_type": "gp3", "boot_disk_iops": 4000}
    found = await launched(api, tmp_path, **disk)
    (mapped,) = found["BlockDeviceMappings"]
    (volume,) = api.ec2.describe_volumes()["Volumes"]
    assert (mapped["DeviceName"], volume["Size"]) == ("/dev/xvda", 40)
    assert mapped["Ebs"]["DeleteOnTermination"]
    (given,) = asked(api)["BlockDeviceMappings"]
    assert (given["Ebs"]["VolumeType"], given["Ebs"]["Iops"]) == ("gp3", 4000)


@pytest.mark.parametrize(
    ("wish", "price"), [({"spot": True}, 0.06), ({"price": 0.05}, 0.05)]
)
async def test_spot_instances_may_have_a_price(
    api: Api, tmp_path: Path, wish: dict[str, Any], price: float
) -> None:
    found = await launched(api, tmp_path, **wish)
    (request,) = api.ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert found["InstanceLifecycle"] == "spot"
    assert request["InstanceId"] == found["InstanceId"]
    assert float(request["SpotPrice"]) == price
    assert "aioec-cluster-id" in {tag["Key"] for tag in request["Tags"]}


async def test_the_provider_s_own_options_are_for_nodes_without_theirs(
    ec2: Ec2Endpoint, api: Api, tmp_path: Path
) -> None:
    provider = provider_for(
        ec2, price=0.04, instance_profile="workers", request_floating_ip=True
    )
    cluster = cluster_on(ec2, tmp_path, 1, provider=provider)
    node = (ec2.image_id, ec2.login, ec2.flavor, "default")
    wish: dict[str, Any] = {"price": 0.05, "request_floating_ip": False}
    cluster.add_node("own", *node, **wish)
    await cluster.start(timeout=10)

    requests = api.ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert sorted(float(one["SpotPrice"]) for one in requests) == [0.04, 0.05]
    assert all("workers" in i["IamInstanceProfile"]["Arn"] for i in api.listed())
    assert len(made(ec2)["addresses"]) == 1


# Who may reach them


async def test_a_group_is_made_with_its_rules_and_goes_with_the_cluster(
    ec2: Ec2Endpoint, api: Api, tmp_path: Path
) -> None:
    networks = ["192.0.2.0/24", "2001:db8::/32"]
    wish: dict[str, Any] = {"security_group": "web", "ssh_from": networks}
    cluster = cluster_on(ec2, tmp_path, 2, **wish)
    await cluster.start(timeout=10)
    name = f"web-{cluster.id[:8]}"
    assert made(ec2)["groups"] == [name]
    (group,) = api.ec2.describe_security_groups(GroupNames=[name])["SecurityGroups"]
    by_protocol = {rule["IpProtocol"]: rule for rule in group["IpPermissions"]}
    ssh, inside = by_protocol["tcp"], by_protocol["-1"]
    assert (ssh["FromPort"], ssh["ToPort"]) == (22, 22)
    assert [one["CidrIp"] for one in ssh["IpRanges"]] == networks[:1]
    assert [one["CidrIpv6"] for one in ssh["Ipv6Ranges"]] == networks[1:]
    assert inside["UserIdGroupPairs"][0]["GroupId"] == group["GroupId"]
    shown = [one["SecurityGroups"] for one in api.listed()]
    assert shown == [[{"GroupId": group["GroupId"], "GroupName": name}]] * 2
    await cluster.stop()

    assert not made(ec2)


async def test_a_group_that_was_made_admits_networks_that_are_named_later(
    ec2: Ec2Endpoint, api: Api, tmp_path: Path
) -> None:
    key = asyncssh.read_public_key(f"{new_key(tmp_path)}.pub")
    async with provider_for(ec2) as provider:
        for networks in (("192.0.2.0/24",), ("198.51.100.0/24", "192.0.2.0/24")):
            node = NodeSpec(
                kind="compute",
                image_id=ec2.image_id,
                image_user=ec2.login,
                flavor=ec2.flavor,
                security_group="web",
                options={"ssh_from": networks},
            )
            await provider.prepare(
                Preparation(
                    cluster_id="0123456789abcdef" * 2,
                    cluster="demo",
                    key_name="key",
                    public_key=key.export_public_key().decode(),
                    specs=[node],
                )
            )

    (group,) = api.ec2.describe_security_groups(GroupNames=["web-01234567"])[
        "SecurityGroups"
    ]
    admitted = {
        one["CidrIp"]
        for rule in group["IpPermissions"]
        for one in rule.get("IpRanges", ())
    }
    assert admitted == {"192.0.2.0/24", "198.51.100.0/24"}


async def test_a_node_may_have_several_groups_by_name_and_id(
    api: Api, tmp_path: Path
) -> None:
    one, two = group(api, "one"), group(api, "two")
    found = await launched(api, tmp_path, security_group=f"one, {two},default")
    ids = {each["GroupId"] for each in found["SecurityGroups"]}
    assert ids > {one, two}
    assert len(ids) == 3


async def test_the_user_s_own_key_pair_is_used_and_stays(
    ec2: Ec2Endpoint, api: Api, tmp_path: Path
) -> None:
    public = new_key(tmp_path).with_suffix(".pub").read_bytes()
    api.ec2.import_key_pair(KeyName=KEY_NAME, PublicKeyMaterial=public)
    cluster = cluster_on(ec2, tmp_path, 1)
    await cluster.start(timeout=10)
    assert {one["KeyName"] for one in api.listed()} == {KEY_NAME}
    await cluster.stop()

    assert made(ec2) == {"key_pairs": [KEY_NAME]}


@needs_hosts
async def test_an_rsa_key_pair_opens_the_nodes(
    ec2_hosts: Ec2Endpoint, tmp_path: Path
) -> None:
    ec2_hosts.behave(boot_seconds=0.05, stop_seconds=0.05)
    key = new_key(tmp_path, "ssh-rsa", key_size=2048)
    cluster = cluster_on(ec2_hosts, tmp_path, 1, hosts=True, key=key)
    await cluster.start(timeout=20)
    (result,) = (await cluster.run("echo here")).values()
    assert result.stdout == "here\n"
    await cluster.stop()


# Elastic addresses


async def test_elastic_addresses_come_first_and_are_kept_until_the_end(
    ec2: Ec2Endpoint, api: Api, tmp_path: Path
) -> None:
    cluster = cluster_on(ec2, tmp_path, 2, request_floating_ip=True)
    await cluster.start(timeout=10)
    addresses = api.ec2.describe_addresses()["Addresses"]
    given = {one["InstanceId"]: one["PublicIp"] for one in addresses}
    first, last = cluster.get_all_nodes()
    assert first.addresses[0] == given[first.instance_id]
    freed = given[last.instance_id]
    await cluster.remove_node(last.name)
    assert sorted(made(ec2)["addresses"]) == sorted(given.values())
    await cluster.resize("compute", 2, timeout=10)

    assert cluster.get_all_nodes()[-1].addresses[0] == freed
    assert len(ec2.requests("AllocateAddress")) == 2
    await cluster.stop()
    assert not made(ec2)


# Host keys


def host_keys_of(cluster: Cluster) -> list[tuple[str, ...]]:
    return [node.record.host_keys for node in cluster.get_all_nodes()]


@needs_hosts
async def test_a_pause_keeps_host_keys_and_files(
    ec2_hosts: Ec2Endpoint, tmp_path: Path
) -> None:
    ec2_hosts.behave(boot_seconds=0.05, stop_seconds=0.05)
    cluster = cluster_on(ec2_hosts, tmp_path, 2, hosts=True)
    await cluster.start(timeout=20)
    await cluster.run("echo kept > file")
    before = host_keys_of(cluster)
    assert all(len(keys) == 1 for keys in before)
    await cluster.pause(timeout=20)
    assert {one["state"] for one in ec2_hosts.instances()} == {"stopped"}
    await cluster.resume(timeout=20)

    assert host_keys_of(cluster) == before
    results = await cluster.run("cat file")
    assert {one.stdout for one in results.values()} == {"kept\n"}
    await cluster.stop()


@needs_hosts
async def test_host_keys_are_read_from_the_console(
    ec2_hosts: Ec2Endpoint, tmp_path: Path
) -> None:
    ec2_hosts.behave(boot_seconds=0.05, stop_seconds=0.05, console_seconds=0.3)
    cluster = cluster_on(ec2_hosts, tmp_path, 2, hosts=True, host_keys="cloud")
    await cluster.start(timeout=20)
    results = await cluster.run("echo here")

    assert {one.stdout for one in results.values()} == {"here\n"}
    assert len(set(host_keys_of(cluster))) == 2
    assert len(ec2_hosts.requests("GetConsoleOutput")) >= 2
    await cluster.stop()
