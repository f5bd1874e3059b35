"""The one request that an order becomes, and what comes back."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from aioelasticluster import (
    CapacityError,
    InvalidRequestError,
    ProviderError,
    QuotaError,
    TransientError,
)
from aioelasticluster.model.tags import Tags
from aioelasticluster.providers.base import InstanceState
from aioelasticluster.providers.openstack.launching import servers, version_for
from aioelasticluster.providers.openstack.listing import servers_of
from tests.providers.openstack.samples import described, order
from tests.providers.samples import CLUSTER, TOKEN, tags

_NOT_MADE = "Volume 7 did not finish being created even after we waited 3 seconds."


def body(*names: str, zone: str = "", **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = servers(order(*names, zone=zone, **options))["server"]
    return found


def test_a_batch_is_one_request_that_nova_numbers() -> None:
    asked = body("compute001", "compute002", "compute003")
    assert (asked["min_count"], asked["max_count"]) == (1, 3)
    assert asked["name"] == "demo-ofedcba98"


def test_a_single_server_is_numbered_here() -> None:
    assert body("compute007")["name"] == "demo-ofedcba98-1"


def test_everything_is_tagged_in_the_call() -> None:
    asked = body("compute001", "compute002")
    assert f"aioec-cluster-{CLUSTER}" in asked["tags"]
    assert f"aioec-token-{TOKEN}" in asked["tags"]
    assert all(len(tag) <= 60 and "," not in tag for tag in asked["tags"])
    assert Tags.decoded(asked["metadata"]) == tags("compute001", "compute002")


def test_servers_are_spread_over_hosts_unless_it_is_said_otherwise() -> None:
    hints = servers(order())["os:scheduler_hints"]
    assert hints == {"group": "server-group-id"}
    assert "os:scheduler_hints" not in servers(order(server_group="none"))


def test_a_place_says_zone_and_flavor() -> None:
    asked = body(zone="b + m1.huge", zones=["a", "b"], flavors=["m1.huge"])
    assert asked["availability_zone"] == "b"
    assert asked["flavorRef"] == "id-of-m1.huge"


def test_a_volume_to_boot_from_is_made_of_the_image() -> None:
    asked = body(boot_disk_size=20, boot_disk_type="fast")
    assert asked["imageRef"] == ""
    (volume,) = asked["block_device_mapping_v2"]
    assert volume["uuid"] == "image-id"
    assert volume["volume_size"] == 20
    assert volume["volume_type"] == "fast"
    assert volume["delete_on_termination"]


def test_types_of_volumes_are_asked_for_in_a_later_version_of_the_api() -> None:
    typed = order(boot_disk_size=20, boot_disk_type="fast")
    assert version_for(typed) == {"microversion": "2.67"}
    assert version_for(order(boot_disk_size=20)) == {}


def test_a_fixed_address_is_one_nodes() -> None:
    asked = body("compute001", fixed_ip="10.0.0.5", network_ids=["red", "blue"])
    assert asked["networks"] == [
        {"uuid": "red", "fixed_ip": "10.0.0.5"},
        {"uuid": "blue"},
    ]
    with pytest.raises(InvalidRequestError, match=r"fixed_ip.*2 nodes"):
        body("compute001", "compute002", fixed_ip="10.0.0.5")


def test_user_data_travels_in_base64_and_has_a_limit() -> None:
    told = servers(replace(order(), user_data="#cloud-config\n"))["server"]
    assert base64.b64decode(told["user_data"]) == b"#cloud-config\n"
    with pytest.raises(InvalidRequestError, match="image_userdata"):
        servers(replace(order(), user_data="x" * 50000))


def test_the_number_in_the_name_says_which_node_a_server_is() -> None:
    found = servers_of([described("demo-o12345678-2"), described("demo-o12345678-1")])
    assert [server.name for server in found] == ["compute002", "compute001"]


def test_a_name_without_a_number_is_the_first_one() -> None:
    (server,) = servers_of([described("demo-o12345678")])  # the quota left room for one
    assert server.name == "compute001"


@pytest.mark.parametrize(
    ("status", "task", "state"),
    [
        ("BUILD", "spawning", InstanceState.PENDING),
        ("ACTIVE", None, InstanceState.RUNNING),
        ("ACTIVE", "powering-off", InstanceState.PAUSING),
        ("ACTIVE", "deleting", InstanceState.TERMINATING),
        ("SHUTOFF", None, InstanceState.PAUSED),
        ("SHUTOFF", "powering-on", InstanceState.PENDING),
        ("SHELVED_OFFLOADED", None, InstanceState.PAUSED),
        ("ERROR", "deleting", InstanceState.TERMINATING),
    ],
)
def test_what_nova_does_decides_before_what_a_server_is(
    status: str, task: str | None, state: InstanceState
) -> None:
    item = described("x-1", status=status) | {"OS-EXT-STS:task_state": task}
    (server,) = servers_of([item])
    assert server.state is state


def test_deleted_servers_are_no_more() -> None:
    assert not servers_of([described("x-1", status="DELETED")])


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("No valid host was found. ", CapacityError),
        ("Exceeded maximum number of retries. ", CapacityError),
        (f"{_NOT_MADE} And its status is error.", CapacityError),
        (f"{_NOT_MADE} And its status is downloading.", ProviderError),
        ("Maximum number of volumes allowed (2) exceeded for quota 'x'.", QuotaError),
        ("Requested volume exceeds allowed gigabytes quota.", QuotaError),
    ],
)
def test_nova_s_words_say_what_a_server_s_end_means(
    message: str, kind: type[ProviderError]
) -> None:
    fault = {"code": 500, "message": message}
    (server,) = servers_of([described("x-1", status="ERROR", fault=fault)])
    assert server.state is InstanceState.FAILED
    assert type(server.fault) is kind
    assert message in str(server.fault)


def test_a_cell_that_is_down_is_not_an_end() -> None:
    with pytest.raises(TransientError):
        servers_of([described("x-1", status="UNKNOWN")])


def test_floating_addresses_are_tried_first() -> None:
    addresses = {
        "private": [
            {"addr": "fd00::5", "version": 6, "OS-EXT-IPS:type": "fixed"},
            {"addr": "10.0.0.5", "version": 4, "OS-EXT-IPS:type": "fixed"},
            {"addr": "198.51.100.7", "version": 4, "OS-EXT-IPS:type": "floating"},
        ]
    }
    (server,) = servers_of([described("x-1", addresses=addresses)])
    assert server.addresses == ("198.51.100.7", "10.0.0.5", "fd00::5")
