"""The one request that an order becomes, and what comes back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aioelasticluster import InvalidRequestError
from aioelasticluster.model.tags import Tags
from aioelasticluster.providers.base import InstanceState
from aioelasticluster.providers.google.launching import bulk_insert
from aioelasticluster.providers.google.listing import instance_of
from aioelasticluster.providers.google.naming import (
    instance_name,
    is_zone,
    labels,
    region_of,
)
from tests.providers.google.samples import IMAGE, described, order
from tests.providers.samples import CLUSTER, TOKEN, tags


def properties(*names: str, zone: str = "us-central1-a", **options: Any) -> Any:
    return bulk_insert(order(*names, zone=zone, **options))["instanceProperties"]


def metadata(asked: Any) -> dict[str, str]:
    return {item["key"]: item["value"] for item in asked["metadata"]["items"]}


def test_a_batch_is_one_request_with_given_names() -> None:
    asked = bulk_insert(order("compute001", "compute002"))
    assert (asked["count"], asked["minCount"]) == ("2", "1")
    assert list(asked["perInstanceProperties"]) == [
        "compute001-fedcba987654",
        "compute002-fedcba987654",
    ]


def test_names_are_no_longer_than_google_takes() -> None:
    assert len(instance_name("c" * 63, TOKEN)) == 63


def test_everything_is_labelled_in_the_call() -> None:
    asked = properties("compute001", "compute002")
    assert asked["labels"] == labels(CLUSTER, TOKEN)
    assert asked["disks"][0]["initializeParams"]["labels"] == labels(CLUSTER, TOKEN)
    assert Tags.decoded(metadata(asked)) == tags("compute001", "compute002")


def test_the_login_gets_the_users_key() -> None:
    told = metadata(properties())
    assert told["ssh-keys"] == "debian:ssh-ed25519 AAAA me"
    assert told["enable-guest-attributes"] == "TRUE"
    assert "block-project-ssh-keys" not in told
    assert metadata(properties(allow_project_ssh_keys=False))["block-project-ssh-keys"]


def test_disks_are_made_of_the_image_and_go_with_the_instance() -> None:
    boot, *local = properties(
        boot_disk_size=40, boot_disk_type="pd-ssd", local_ssd_count=2
    )["disks"]
    assert boot["boot"]
    assert boot["autoDelete"]
    assert boot["initializeParams"]["sourceImage"] == IMAGE
    assert boot["initializeParams"]["diskSizeGb"] == "40"
    assert boot["initializeParams"]["diskType"] == "pd-ssd"
    assert [disk["type"] for disk in local] == ["SCRATCH", "SCRATCH"]


def test_a_place_says_zone_and_flavor() -> None:
    asked = properties(zone="us-central1-b + n2-standard-2", subnetwork="inner")
    assert asked["machineType"] == "n2-standard-2"
    (interface,) = asked["networkInterfaces"]
    assert interface["subnetwork"] == "regions/us-central1/subnetworks/inner"


def test_an_address_of_its_own_is_public_unless_it_is_not_wanted() -> None:
    (interface,) = properties()["networkInterfaces"]
    assert interface["accessConfigs"]
    (interface,) = properties(public_address=False)["networkInterfaces"]
    assert "accessConfigs" not in interface


def test_what_google_may_take_back_is_deleted_then() -> None:
    for options in ({"spot": True}, {"scheduling": "preemptible"}):
        scheduling = properties(**options)["scheduling"]
        assert scheduling["provisioningModel"] == "SPOT"
        assert scheduling["instanceTerminationAction"] == "DELETE"


def test_a_life_may_be_limited() -> None:
    scheduling = properties(max_run_duration=3600)["scheduling"]
    assert scheduling == {
        "maxRunDuration": {"seconds": "3600"},
        "instanceTerminationAction": "DELETE",
    }


def test_accelerators_and_scopes_are_asked_for() -> None:
    asked = properties(
        accelerator_count=2,
        accelerator_type="nvidia-tesla-t4",
        scopes=["devstorage.read_only"],
        min_cpu_platform="Intel Skylake",
    )
    assert asked["guestAccelerators"][0]["acceleratorCount"] == 2
    assert asked["scheduling"]["onHostMaintenance"] == "TERMINATE"
    (account,) = asked["serviceAccounts"]
    assert account["scopes"] == ["https://www.googleapis.com/auth/devstorage.read_only"]
    assert asked["minCpuPlatform"] == "Intel Skylake"


def test_user_data_that_is_too_long_is_not_sent() -> None:
    long = replace(order(), user_data="x" * 300000)
    with pytest.raises(InvalidRequestError, match="image_userdata"):
        bulk_insert(long)


def test_the_name_says_which_node_an_instance_is() -> None:
    found = [instance_of(described(node)) for node in ("compute002", "compute001")]
    assert [instance.name for instance in found] == ["compute002", "compute001"]
    assert found[0].id == "z-a/compute002-fedcba987654"


def test_what_lacks_our_labels_is_not_ours() -> None:
    assert instance_of(described("compute001", labels={})).tags is None


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("PROVISIONING", InstanceState.PENDING),
        ("STAGING", InstanceState.PENDING),
        ("RUNNING", InstanceState.RUNNING),
        ("SUSPENDED", InstanceState.PAUSED),
        ("TERMINATED", InstanceState.PAUSED),
        ("DEPROVISIONING", InstanceState.TERMINATING),
        ("A_NEW_ONE", InstanceState.PENDING),
    ],
)
def test_states_are_ours(status: str, state: InstanceState) -> None:
    assert instance_of(described("compute001", status=status)).state is state


def test_public_addresses_are_tried_first() -> None:
    interface = {
        "networkIP": "10.0.0.2",
        "accessConfigs": [{"natIP": "198.51.100.2"}],
    }
    item = described("compute001", networkInterfaces=[interface])
    assert instance_of(item).addresses == ("198.51.100.2", "10.0.0.2")


def test_a_zone_is_told_from_a_region() -> None:
    assert is_zone("us-central1-a")
    assert not is_zone("us-central1")
    assert region_of("us-central1-a") == region_of("us-central1") == "us-central1"
