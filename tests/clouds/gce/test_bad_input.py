"""What was asked for is wrong: one clear error, a few requests, and nothing left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aioelasticluster import Cluster, GoogleCloudProvider
from aioelasticluster.errors import (
    ConfigurationError,
    ElasticlusterError,
    InvalidRequestError,
    UnauthorizedError,
)
from tests.clouds.clusters import alive, made
from tests.clouds.gce.clusters import cluster_on, provider_for, quicken
from tests.clouds.gce.running import GceEndpoint

#: Most requests until wrong credentials are refused, or a wrong wish.
FEW, SOME = 4, 8


@pytest.fixture(autouse=True)
def quick(gce: GceEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)
    gce.behave(boot_seconds=0.0, stop_seconds=0.0)


async def refused(gce: GceEndpoint, cluster: Cluster) -> ElasticlusterError:
    """Start a cluster in vain and return why; nothing may be left."""
    gce.forget_requests()
    with pytest.raises(ElasticlusterError) as caught:
        await cluster.start(timeout=10)
    assert not alive(gce)
    assert not made(gce)
    assert not await cluster.repository.load_all()
    return caught.value


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"flavor": "e9-huge"}, "flavor='e9-huge'"),
        ({"flavors": "e2-medium,e9-huge"}, "flavor='e9-huge'"),
        ({"image_id": "ubuntu-os-cloud/nothing"}, "image_id='ubuntu-os-cloud/nothing'"),
        ({"image_id": "mine"}, "image_id='mine'"),
        ({"image_id": "ubuntu-os-cloud/family/none"}, "os-cloud/family/none'"),
        ({"image_id": "nobodys-project/family/x"}, "nobodys-project"),
        ({"image_id": "An image!"}, "image_id='An image!'"),
        ({"network": "nowhere"}, "network='nowhere'"),
        ({"subnetwork": "nowhere"}, "subnetwork='nowhere'"),
        ({"zones": "us-central1-z"}, "zones='us-central1-z'"),
        ({"zones": "us-nowhere1"}, "zones='us-nowhere1'"),
        ({"zones": "us-central1-b,us-central1-z"}, "zones='us-central1-z'"),
    ],
)
async def test_what_does_not_exist_is_named_and_nothing_is_made(
    gce: GceEndpoint, tmp_path: Path, wish: dict[str, Any], said: str
) -> None:
    cluster = cluster_on(gce, tmp_path, ssh_from="192.0.2.0/24", **wish)
    error = await refused(gce, cluster)

    assert isinstance(error, InvalidRequestError | UnauthorizedError)
    assert said in str(error)
    assert len(gce.requests()) <= SOME
    assert not gce.requests("firewalls.insert")


async def test_a_project_of_somebody_else_s_is_told_at_once(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    provider = provider_for(gce, tmp_path, project_id=gce.other_project)
    error = await refused(gce, cluster_on(gce, tmp_path, provider=provider))

    assert isinstance(error, UnauthorizedError)
    assert gce.other_project in str(error)
    assert len(gce.requests()) <= FEW


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"zone_names": "a"}, "zone_names"),
        ({"spot": "yes"}, "spot"),
        ({"tags": "Not a tag"}, "tags"),
        ({"accelerator_count": 1}, "accelerator_type"),
        ({"scheduling": "cheap"}, "scheduling"),
        ({"target_shape": "ROUND"}, "target_shape"),
        ({"ssh_from": "everywhere"}, "ssh_from"),
        ({"boot_disk_size": -1}, "boot_disk_size"),
        ({"local_ssd_interface": "SATA"}, "local_ssd_interface"),
    ],
)
def test_an_option_that_cannot_be_is_named_without_a_request(
    gce: GceEndpoint, tmp_path: Path, wish: dict[str, Any], field: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        cluster_on(gce, tmp_path, **wish)
    assert caught.value.field == field
    assert not gce.requests()


@pytest.mark.parametrize(
    "wrong",
    [
        {"project_id": ""},
        {"zone": ""},
        {"credentials": "/no/such/file.json"},
        {"api_root": "compute.example.org"},
    ],
)
def test_a_provider_that_could_ask_nobody_cannot_be_made(wrong: dict[str, Any]) -> None:
    given: dict[str, Any] = {"project_id": "p", "zone": "us-central1-a"}
    with pytest.raises(ConfigurationError) as caught:
        GoogleCloudProvider(**given | wrong)
    assert [caught.value.field] == list(wrong)


@pytest.mark.parametrize("kibibytes", [17, 180])
async def test_long_user_data_reach_google(
    gce: GceEndpoint, tmp_path: Path, kibibytes: int
) -> None:
    script = "#!/bin/sh\n" + "#" * kibibytes * 1024
    cluster = cluster_on(gce, tmp_path, 1, image_userdata=script)
    assert (await cluster.start(timeout=10)).ok
    await cluster.stop()
    assert not made(gce)


def test_user_data_that_will_not_fit_are_refused_without_a_request(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    script = "#!/bin/sh\n" + "#" * 300 * 1024
    with pytest.raises(ConfigurationError) as caught:
        cluster_on(gce, tmp_path, image_userdata=script)

    assert caught.value.field == "image_userdata"
    assert "262144" in str(caught.value)
    assert not gce.requests()


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"boot_disk_size": 4}, "diskSizeGb"),
        ({"boot_disk_type": "pd-magic"}, "pd-magic"),
        ({"flavor": "t2a-standard-2"}, "rchitecture"),
        ({"max_run_duration": 1}, "maxRunDuration"),
        ({"local_ssd_count": 1}, "local-ssd"),
    ],
)
async def test_what_only_a_launch_can_tell_leaves_nothing_either(
    gce: GceEndpoint, tmp_path: Path, wish: dict[str, Any], said: str
) -> None:
    cluster = cluster_on(gce, tmp_path, ssh_from="192.0.2.0/24", **wish)
    error = await refused(gce, cluster)

    assert isinstance(error, InvalidRequestError)
    assert said in str(error)
    assert len(gce.requests("instances.bulkInsert")) == 1


async def test_a_wrong_wish_of_a_later_kind_does_not_touch_the_nodes_that_run(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    cluster = cluster_on(gce, tmp_path, ssh_from="192.0.2.0/24")
    await cluster.start(timeout=10)
    before, had = alive(gce), made(gce)
    cluster.add_node("storage", **gce.node() | {"image_id": "nothing"})
    with pytest.raises(InvalidRequestError, match="image_id='nothing'"):
        await cluster.start(timeout=10)

    assert alive(gce) == before
    assert made(gce) == had
    assert len(had["firewalls"]) == 2
    await cluster.stop()
    assert not made(gce)
