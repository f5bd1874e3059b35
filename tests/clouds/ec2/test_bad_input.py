"""What was asked for is wrong: one clear error, a few requests, and nothing left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncssh
import pytest

from aioelasticluster import Cluster
from aioelasticluster.errors import (
    ConfigurationError,
    ElasticlusterError,
    InvalidRequestError,
    UnauthorizedError,
)
from tests.clouds.clusters import KEY_NAME, made, new_key
from tests.clouds.ec2.client import Api
from tests.clouds.ec2.clusters import cluster_on, quicken
from tests.clouds.ec2.clusters import provider_for as provider
from tests.clouds.ec2.running import Ec2Endpoint

#: Most requests until a wrong wish is refused.
FEW = 4


@pytest.fixture(autouse=True)
def quick(ec2: Ec2Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)
    ec2.behave(boot_seconds=0.0, stop_seconds=0.0)


async def refused(ec2: Ec2Endpoint, cluster: Cluster) -> ElasticlusterError:
    """Start a cluster in vain and return why; nothing may have been touched."""
    before = made(ec2)
    ec2.forget_requests()
    with pytest.raises(ElasticlusterError) as caught:
        await cluster.start(timeout=10)
    assert not ec2.instances()
    assert made(ec2) == before
    assert not await cluster.repository.load_all()
    return caught.value


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"flavor": "c9.huge"}, "flavor='c9.huge'"),
        ({"flavors": "c5.large,c9.huge"}, "flavors='c9.huge'"),
        ({"image_id": "ami-0123456789abcdef0"}, "image_id='ami-0123456789abcdef0'"),
        ({"image_id": "ami-nonsense"}, "image_id='ami-nonsense'"),
        ({"image_id": "debian-99-*"}, "image_id='debian-99-*'"),
        ({"image_id": "amazon/debian-*"}, "image_id='amazon/debian-*'"),
        ({"security_group": "nobody"}, "security_group='nobody'"),
        ({"security_group": "default, nobody"}, "security_group='nobody'"),
        ({"security_group": "sg-0123456789abcdef0"}, "security_group='sg-0123456789"),
        ({"subnets": "subnet-0123456789abcdef0"}, "subnets='subnet-0123456789abcdef0'"),
        ({"subnets": ["lab"]}, "subnets='lab'"),
        ({"network_ids": "lab"}, "network_ids='lab'"),
        ({"zones": "us-east-1z"}, "zones='us-east-1z'"),
        ({"zones": "us-east-1a,us-east-1z"}, "zones='us-east-1z'"),
        ({"zones": "us-east-1b,us-east-1c", "flavor": "p3.2xlarge"}, "us-east-1a only"),
    ],
)
async def test_what_does_not_exist_is_named_and_nothing_is_made(
    ec2: Ec2Endpoint, tmp_path: Path, wish: dict[str, Any], said: str
) -> None:
    error = await refused(ec2, cluster_on(ec2, tmp_path, **wish))

    assert isinstance(error, InvalidRequestError)
    assert said in str(error)
    assert len(ec2.requests()) <= FEW


@pytest.mark.parametrize("vpc", ["lab", "vpc-0123456789abcdef0"])
async def test_an_unknown_network_of_the_provider_is_named(
    ec2: Ec2Endpoint, tmp_path: Path, vpc: str
) -> None:
    cluster = cluster_on(ec2, tmp_path, provider=provider(ec2, vpc=vpc))
    error = await refused(ec2, cluster)

    assert isinstance(error, InvalidRequestError)
    assert f"vpc={vpc!r}" in str(error)
    assert len(ec2.requests()) <= FEW


@pytest.mark.parametrize(
    "keys",
    [{"secret_key": "wrong-secret"}, {"access_key": "AKIANOBODYSKEY000000"}],
    ids=["secret", "key"],
)
async def test_wrong_credentials_are_named_but_never_shown(
    ec2: Ec2Endpoint, tmp_path: Path, keys: dict[str, Any]
) -> None:
    cluster = cluster_on(ec2, tmp_path, provider=provider(ec2, **keys))
    error = await refused(ec2, cluster)

    assert isinstance(error, UnauthorizedError)
    assert f"access_key={keys.get('access_key', ec2.access_key)!r}" in str(error)
    assert "secret" not in str(error)
    assert len(ec2.requests()) == 1


async def test_a_key_pair_of_this_name_that_is_another_key_is_named(
    ec2: Ec2Endpoint, api: Api, tmp_path: Path
) -> None:
    others = asyncssh.generate_private_key("ssh-ed25519").export_public_key()
    api.ec2.import_key_pair(KeyName=KEY_NAME, PublicKeyMaterial=others)
    error = await refused(ec2, cluster_on(ec2, tmp_path))

    assert isinstance(error, InvalidRequestError)
    assert f"ssh_key_name={KEY_NAME!r}" in str(error)
    assert len(ec2.requests()) <= FEW
    (pair,) = api.ec2.describe_key_pairs(IncludePublicKey=True)["KeyPairs"]
    assert pair["PublicKey"].split()[1] == others.decode().split()[1]


async def test_a_kind_of_key_that_ec2_does_not_take_is_named(
    ec2: Ec2Endpoint, tmp_path: Path
) -> None:
    key = new_key(tmp_path, "ecdsa-sha2-nistp256")
    error = await refused(ec2, cluster_on(ec2, tmp_path, key=key))

    assert isinstance(error, InvalidRequestError)
    assert "ssh_key_pub" in str(error)
    assert "ecdsa-sha2-nistp256" in str(error)
    assert len(ec2.requests()) <= FEW


def test_user_data_that_will_not_fit_is_refused_without_a_request(
    ec2: Ec2Endpoint, tmp_path: Path
) -> None:
    script = "#!/bin/sh\n" + "#" * 17 * 1024
    with pytest.raises(ConfigurationError) as caught:
        cluster_on(ec2, tmp_path, image_userdata=script)

    assert caught.value.field == "image_userdata"
    assert "16384" in str(caught.value)
    assert not ec2.requests()


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        # A type of EC2's that this region does not have: only a launch can tell.
        ({"flavor": "c6i.large"}, "c6i.large"),
        ({"instance_profile": "nobody"}, "(nobody) for parameter iamInstanceProfile"),
        ({"placement_group": "close", "flavor": "t3.micro"}, "'t3.micro'"),
        ({"boot_disk_size": 4}, "Volume of size 4GB"),
        ({"image_id": "debian-12-arm64-20261101-1"}, "architecture"),
    ],
)
async def test_what_only_a_launch_can_tell_leaves_nothing_either(
    ec2: Ec2Endpoint, tmp_path: Path, wish: dict[str, Any], said: str
) -> None:
    cluster = cluster_on(ec2, tmp_path, ssh_from="192.0.2.0/24", **wish)
    error = await refused(ec2, cluster)

    assert isinstance(error, InvalidRequestError)
    assert said in str(error)
    assert len(ec2.requests("RunInstances")) == 1


async def test_a_wrong_wish_of_a_later_kind_does_not_touch_the_nodes_that_run(
    ec2: Ec2Endpoint, tmp_path: Path
) -> None:
    cluster = cluster_on(ec2, tmp_path)
    await cluster.start(timeout=10)
    running = {one["id"] for one in ec2.instances("running")}
    node = ("ami-0123456789abcdef0", ec2.login, ec2.flavor, "default")
    cluster.add_node("storage", *node)
    with pytest.raises(InvalidRequestError, match="image_id='ami-0123456789abcdef0'"):
        await cluster.start(timeout=10)

    assert {one["id"] for one in ec2.instances()} == running
    assert {one["state"] for one in ec2.instances()} == {"running"}
    assert len(made(ec2)["key_pairs"]) == 1
    await cluster.stop()
    assert not made(ec2)


async def test_a_group_that_cannot_be_made_spoils_nothing_of_a_cluster_that_runs(
    ec2: Ec2Endpoint, tmp_path: Path
) -> None:
    wishes: dict[str, Any] = {"ssh_from": "192.0.2.0/24", "request_floating_ip": True}
    cluster = cluster_on(ec2, tmp_path, security_group="web", **wishes)
    await cluster.start(timeout=10)
    had = made(ec2)
    assert sorted(had) == ["addresses", "groups", "key_pairs"]
    ec2.forget_requests()
    node = (ec2.image_id, ec2.login, ec2.flavor)
    cluster.add_node("storage", *node, "also", ssh_from="192.0.2.0/24")
    cluster.add_node("proxy", *node, "sg-own", ssh_from="192.0.2.0/24")
    with pytest.raises(InvalidRequestError, match="CreateSecurityGroup"):
        await cluster.start(timeout=10)

    assert made(ec2) == had
    assert {one["state"] for one in ec2.instances()} == {"running"}
    assert len(ec2.requests("CreateSecurityGroup")) <= 2
    await cluster.stop()
    assert not made(ec2)


async def test_a_wrong_plan_leaves_nothing_of_an_earlier_try_that_ec2_cut_off(
    ec2: Ec2Endpoint, tmp_path: Path
) -> None:
    ec2.behave(unavailable_share=1.0, actions=["CreateSecurityGroup"], times=4)
    wish: dict[str, Any] = {"security_group": "sg-own", "ssh_from": "192.0.2.0/24"}
    error = await refused(ec2, cluster_on(ec2, tmp_path, 1, **wish))

    assert isinstance(error, InvalidRequestError)
    assert len(ec2.requests("ImportKeyPair")) == 1
    assert len(ec2.requests("CreateSecurityGroup")) == 5
