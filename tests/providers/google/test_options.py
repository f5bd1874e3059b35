"""What a node may ask of Google, and how it is told what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aioelasticluster import ConfigurationError, GoogleCloudProvider
from tests.providers.google.samples import spec

PROVIDER = GoogleCloudProvider("my-project", "us-central1-a")


def test_the_preferred_flavor_is_tried_everywhere_first() -> None:
    assert list(PROVIDER.zones(spec())) == ["us-central1-a"]
    node = spec(zones=["us-central1-b", "us-central1"], flavors=["n2-standard-2"])
    assert list(PROVIDER.zones(node)) == [
        "us-central1-b",
        "us-central1",
        "us-central1-b + n2-standard-2",
        "us-central1 + n2-standard-2",
    ]


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("no_such_option", {"no_such_option": 1}),
        ("accelerator_type", {"accelerator_count": 1}),
        ("accelerator_count", {"accelerator_type": "nvidia-tesla-t4"}),
        ("local_ssd_interface", {"local_ssd_interface": "USB"}),
        ("scheduling", {"scheduling": "sometimes"}),
        ("tags", {"tags": ["Web_Server"]}),
        ("ssh_from", {"ssh_from": "everywhere"}),
        ("boot_disk_size", {"boot_disk_size": "10"}),
        ("public_address", {"public_address": "no"}),
    ],
)
def test_what_cannot_be_is_refused_by_name(field: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        PROVIDER.check_options(spec(**options))
    assert caught.value.field == field
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("project_id", {"project_id": ""}),
        ("zone", {"zone": ""}),
        ("credentials", {"credentials": "/nowhere.json"}),
        ("api_root", {"api_root": "compute.example.org"}),
    ],
)
def test_arguments_that_lead_nowhere_are_refused(
    field: str, arguments: dict[str, Any]
) -> None:
    given = {"project_id": "my-project", "zone": "us-central1-a"} | arguments
    with pytest.raises(ConfigurationError) as caught:
        GoogleCloudProvider(**given)
    assert caught.value.field == field


def test_settings_say_where_the_credentials_lie_and_not_what_they_are(
    tmp_path: Path,
) -> None:
    key = tmp_path / "key.json"
    key.write_text('{"private_key": "secret"}')
    provider = GoogleCloudProvider("p", "us-central1-a", credentials=str(key))
    assert provider.settings() == {
        "project_id": "p",
        "zone": "us-central1-a",
        "credentials": str(key),
    }
