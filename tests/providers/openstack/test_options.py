"""What a node may ask of OpenStack, and how it is told what is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aioelasticluster import ConfigurationError, OpenStackCloudProvider
from tests.providers.openstack.samples import spec

PROVIDER = OpenStackCloudProvider("devstack")


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("no_such_option", {"no_such_option": 1}),
        ("zones", {"zones": 7}),
        ("boot_disk_size", {"boot_disk_type": "fast"}),
        ("boot_disk_size", {"boot_disk_size": -1}),
        ("request_floating_ip", {"floating_network_id": "public"}),
        ("request_floating_ip", {"request_floating_ip": "yes"}),
        ("fixed_ip", {"fixed_ip": "10.0.0"}),
        ("ssh_from", {"ssh_from": ["everywhere"]}),
        ("server_group", {"server_group": True}),
    ],
)
def test_what_cannot_be_is_refused_by_name(field: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        PROVIDER.check_options(spec(**options))
    assert caught.value.field == field
    assert caught.value.remedy


def test_user_data_must_fit_in_base64() -> None:
    PROVIDER.check_options(
        replace(spec(), image_userdata="#!/bin/sh\n" + "true\n" * 8000)
    )
    long = replace(spec(), image_userdata="#!/bin/sh\n" + "#" * 50000)
    with pytest.raises(ConfigurationError, match="65535") as caught:
        PROVIDER.check_options(long)
    assert caught.value.field == "image_userdata"


def test_the_provider_gives_nodes_its_own_zone() -> None:
    provider = OpenStackCloudProvider("devstack", availability_zone="az2")
    assert list(provider.zones(spec())) == ["az2"]
    assert list(provider.zones(spec(zones="a,b", flavors="big"))) == [
        "a",
        "b",
        "a + big",
        "b + big",
    ]


def test_no_secret_is_shown_or_recorded() -> None:
    provider = OpenStackCloudProvider(
        auth_url="http://127.0.0.1:1/v3",
        username="demo",
        password="much-secret",
        application_credential_secret="so-is-this",
        token="and-this",
        project_name="demo",
    )
    said = f"{provider!r} {provider.settings()} {vars(provider)}"
    assert "secret" not in said.replace("_secret", "")
    assert "this" not in said
    assert provider.settings() == {
        "auth_url": "http://127.0.0.1:1/v3",
        "username": "demo",
        "project_name": "demo",
    }


def test_certificates_that_are_not_there_are_refused() -> None:
    with pytest.raises(ConfigurationError) as caught:
        OpenStackCloudProvider("devstack", cacert="/nowhere.pem")
    assert caught.value.field == "cacert"
