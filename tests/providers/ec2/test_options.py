"""What a node may ask of EC2, and how it is told what is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aioelasticluster import BotoCloudProvider, ConfigurationError
from aioelasticluster.providers.ec2.options import Ec2Options
from aioelasticluster.providers.options import Place
from tests.providers.ec2.samples import spec

PROVIDER = BotoCloudProvider(None, "eu-central-1")


def test_lists_may_be_written_with_commas() -> None:
    options = Ec2Options.of(spec(zones="a, b", flavors=["c5.xlarge"]))
    assert options.zones == ("a", "b")
    assert options.flavors == ("c5.xlarge",)


def test_the_preferred_flavor_is_tried_everywhere_first() -> None:
    node = spec(zones=["a", "b"], flavors=["big"])
    assert list(PROVIDER.zones(node)) == ["a", "b", "a + big", "b + big"]
    assert [Place.parsed(text) for text in PROVIDER.zones(node)] == [
        Place("a"),
        Place("b"),
        Place("a", "big"),
        Place("b", "big"),
    ]


def test_without_options_the_cloud_chooses_the_zone() -> None:
    assert list(PROVIDER.zones(spec())) == [""]


def test_a_price_alone_means_spot_instances() -> None:
    assert Ec2Options.of(spec(price=0.05)).on_spot
    assert Ec2Options.of(spec(spot=True)).on_spot
    assert not Ec2Options.of(spec()).on_spot


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("no_such_option", {"no_such_option": 1}),
        ("zones", {"zones": [1]}),
        ("zones", {"zones": 7}),
        ("price", {"price": "much"}),
        ("price", {"price": -1}),
        ("spot", {"spot": "yes"}),
        ("boot_disk_size", {"boot_disk_size": 1.5}),
        ("boot_disk_size", {"boot_disk_size": True}),
        ("boot_disk_size", {"boot_disk_size": float("inf")}),
        ("boot_disk_type", {"boot_disk_type": "floppy"}),
        ("boot_disk_iops", {"boot_disk_type": "io2"}),
        ("boot_disk_iops", {"boot_disk_type": "gp2", "boot_disk_iops": 100}),
        ("subnets", {"zones": "a", "subnets": "s"}),
        ("network_ids", {"network_ids": "a,b", "subnets": "s"}),
        ("public_address", {"network_ids": "a,b", "public_address": True}),
        ("ssh_from", {"ssh_from": "everywhere"}),
        ("placement_group", {"placement_group": 5}),
    ],
)
def test_what_cannot_be_is_refused_by_name(field: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        PROVIDER.check_options(spec(**options))
    assert caught.value.field == field
    assert caught.value.remedy


def test_user_data_must_fit_together_with_ours() -> None:
    fits = replace(spec(), image_userdata="#!/bin/sh\n" + "true\n" * 2800)
    PROVIDER.check_options(fits)
    for length in (17 * 1024, 16 * 1024):
        long = replace(spec(), image_userdata="#!/bin/sh\n#" + "x" * length)
        with pytest.raises(
            ConfigurationError, match=r"image_userdata.*16384"
        ) as caught:
            PROVIDER.check_options(long)
        assert caught.value.field == "image_userdata"


def test_the_provider_gives_nodes_its_own_options() -> None:
    provider = BotoCloudProvider("http://127.0.0.1:1", "nova", price=0.1)
    with pytest.raises(ConfigurationError, match="boot_disk_type"):
        provider.check_options(spec(boot_disk_type="floppy"))
    assert provider.settings() == {
        "url": "http://127.0.0.1:1",
        "region": "nova",
        "price": 0.1,
    }


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("url", ("ec2.example.org", "nova")),
        ("region", (None, "")),
        ("secret_key", (None, "nova", "key")),
        ("access_key", (None, "nova", None, "secret")),
    ],
)
def test_arguments_that_lead_nowhere_are_refused(
    field: str, arguments: tuple[Any, ...]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        BotoCloudProvider(*arguments)
    assert caught.value.field == field


def test_no_secret_is_shown_or_recorded() -> None:
    provider = BotoCloudProvider(
        None, "nova", "AKIA", "much-secret", session_token="so-is-this"
    )
    said = f"{provider!r} {provider.settings()} {vars(provider)}"
    assert "much-secret" not in said
    assert "so-is-this" not in said
