"""What users may wish of Compute Engine: every option reaches it, and nothing stays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from aioelasticluster import (
    Cluster,
    MemRepository,
    find_orphans,
    terminate_orphans,
)
from aioelasticluster.errors import ConfigurationError, InvalidRequestError
from tests.clouds.clusters import alive, made, unrecorded
from tests.clouds.gce.catalogue import IMAGE_ID
from tests.clouds.gce.client import Api
from tests.clouds.gce.clusters import cluster_on, provider_for, quicken
from tests.clouds.gce.running import GceEndpoint, why_no_hosts

needs_hosts = pytest.mark.skipif(bool(why_no_hosts()), reason=why_no_hosts())

QUICKLY = {"boot_seconds": 0.05, "stop_seconds": 0.05}


@pytest.fixture(autouse=True)
def quick(gce: GceEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)
    gce.behave(**QUICKLY)


async def launched(api: Api, folder: Path, **wishes: Any) -> Mapping[str, Any]:
    """Start a cluster of one node that has some wishes; return its instance."""
    cluster = cluster_on(api.endpoint, folder, 1, **wishes)
    assert (await cluster.start(timeout=10)).ok
    (node,) = cluster.get_all_nodes()
    zone, _, name = node.instance_id.partition("/")
    found: Mapping[str, Any] = api.ask("GET", f"zones/{zone}/instances/{name}")
    return found


def told(instance: Mapping[str, Any]) -> dict[str, str]:
    """Return an instance's metadata."""
    return {item["key"]: item["value"] for item in instance["metadata"]["items"]}


# Where instances are


@pytest.mark.parametrize("zone", ["us-central1-b", "europe-west1-c"])
async def test_a_zone_is_where_instances_go(
    api: Api, tmp_path: Path, zone: str
) -> None:
    found = await launched(api, tmp_path, zones=zone)
    assert found["zone"].endswith(f"/{zone}")


async def test_of_a_region_google_chooses_the_zone(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    gce.behave(capacity={gce.zones[0]: 1})
    provider = provider_for(gce, tmp_path, zone=gce.region)
    cluster = cluster_on(gce, tmp_path, 3, provider=provider)
    assert (await cluster.start(timeout=10)).ok

    assert len(gce.requests("regionInstances.bulkInsert")) == 1
    assert {one["zone"] for one in gce.instances()} <= set(gce.zones[1:])
    assert not await unrecorded(gce, cluster.repository)
    await cluster.stop()
    assert not alive(gce)
    assert not made(gce)


async def test_of_a_region_google_may_be_told_how_to_choose(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    provider = provider_for(gce, tmp_path, zone=gce.region)
    first, *others = gce.zones
    wish: dict[str, Any] = {"target_shape": "BALANCED", "avoid_zones": first}
    cluster = cluster_on(gce, tmp_path, 2 * len(others), provider=provider, **wish)
    assert (await cluster.start(timeout=10)).ok

    zones = [one["zone"] for one in gce.instances()]
    assert [zones.count(zone) for zone in others] == [2] * len(others)
    assert not await unrecorded(gce, cluster.repository)
    await cluster.stop()
    assert not made(gce)


async def test_the_provider_s_network_is_for_nodes_without_one(
    api: Api, tmp_path: Path
) -> None:
    provider = provider_for(api.endpoint, tmp_path, network="default")
    found = await launched(api, tmp_path, provider=provider)
    (interface,) = found["networkInterfaces"]
    assert interface["network"].endswith("/networks/default")


async def test_a_subnetwork_is_where_instances_go(api: Api, tmp_path: Path) -> None:
    found = await launched(api, tmp_path, subnetwork="default")
    (interface,) = found["networkInterfaces"]
    assert interface["subnetwork"].endswith("/us-central1/subnetworks/default")


async def test_public_addresses_may_be_left_out(api: Api, tmp_path: Path) -> None:
    found = await launched(api, tmp_path, public_address=False)
    (interface,) = found["networkInterfaces"]
    assert not interface.get("accessConfigs")
    assert interface["networkIP"]


# What they are


@pytest.mark.parametrize(
    "text",
    [
        "ubuntu-os-cloud/family/ubuntu-2404-lts-amd64",
        "ubuntu-os-cloud/ubuntu-2404-noble-amd64-v20261110",
        "projects/ubuntu-os-cloud/global/images/ubuntu-2404-noble-amd64-v20261110",
        f"https://compute.googleapis.com/compute/v1/{IMAGE_ID}",
    ],
)
async def test_an_image_may_be_named_in_several_ways(
    api: Api, tmp_path: Path, text: str
) -> None:
    found = await launched(api, tmp_path, image_id=text)
    name = found["disks"][0]["source"].rpartition("/")[2]
    disk = api.ask("GET", f"{api.zone}/disks/{name}")
    assert disk["sourceImage"].endswith("/ubuntu-2404-noble-amd64-v20261110")


async def test_the_boot_disk_is_as_asked_for_and_labelled(
    api: Api, tmp_path: Path
) -> None:
    wish: dict[str, Any] = {"boot_disk_size": 40, "boot_disk_type": "pd-ssd"}
    found = await launched(api, tmp_path, **wish)
    name = found["disks"][0]["source"].rpartition("/")[2]
    disk = api.ask("GET", f"{api.zone}/disks/{name}")
    assert disk["sizeGb"] == "40"
    assert disk["type"].endswith("/pd-ssd")
    assert disk["labels"] == found["labels"]
    assert found["disks"][0]["autoDelete"] is True


async def test_local_ssds_and_accelerators_are_part_of_the_machine(
    gce: GceEndpoint, api: Api, tmp_path: Path
) -> None:
    wish: dict[str, Any] = {"local_ssd_count": 2, "local_ssd_interface": "NVME"}
    wish |= {"accelerator_type": "nvidia-tesla-t4", "accelerator_count": 1}
    found = await launched(api, tmp_path, flavor="n2-standard-16", **wish)
    (accelerator,) = found["guestAccelerators"]
    assert accelerator["acceleratorType"].endswith("nvidia-tesla-t4")
    assert accelerator["acceleratorCount"] == 1
    assert found["scheduling"]["onHostMaintenance"] == "TERMINATE"
    assert len(made(gce)["disks"]) == 1

    (asked,) = gce.requests("instances.bulkInsert")
    _, *local = asked["parameters"]["body"]["instanceProperties"]["disks"]
    assert [(one["type"], one["interface"]) for one in local] == [
        ("SCRATCH", "NVME")
    ] * 2


@pytest.mark.parametrize("wish", [{"spot": True}, {"scheduling": "preemptible"}])
async def test_spot_instances_are_deleted_when_they_are_taken_back(
    api: Api, tmp_path: Path, wish: dict[str, Any]
) -> None:
    found = await launched(api, tmp_path, **wish)
    assert found["scheduling"]["provisioningModel"] == "SPOT"
    assert found["scheduling"]["instanceTerminationAction"] == "DELETE"


async def test_google_ends_instances_whose_time_is_over(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    gce.behave(shortest_run=0.0)
    cluster = cluster_on(gce, tmp_path, 2, max_run_duration=1)
    assert (await cluster.start(timeout=10)).ok
    await anyio.sleep(1.2)

    assert not gce.instances()
    assert not made(gce)
    await cluster.stop()


async def test_the_rest_of_the_options_reaches_google(api: Api, tmp_path: Path) -> None:
    account = api.endpoint.account
    found = await launched(
        api,
        tmp_path,
        tags="one,two",
        min_cpu_platform="Intel Broadwell",
        service_account=account,
        scopes="compute,https://www.googleapis.com/auth/devstorage.read_only",
        allow_project_ssh_keys=False,
    )
    assert {"one", "two"} < set(found["tags"]["items"])
    assert found["minCpuPlatform"] == "Intel Broadwell"
    assert found["serviceAccounts"] == [
        {
            "email": account,
            "scopes": [
                "https://www.googleapis.com/auth/compute",
                "https://www.googleapis.com/auth/devstorage.read_only",
            ],
        }
    ]
    assert told(found)["block-project-ssh-keys"] == "TRUE"
    assert told(found)["ssh-keys"].startswith("ubuntu:ssh-ed25519 ")


# Who may reach them


async def test_rules_are_made_for_the_cluster_and_go_with_it(
    gce: GceEndpoint, api: Api, tmp_path: Path
) -> None:
    networks = ["192.0.2.0/24", "198.51.100.0/24"]
    cluster = cluster_on(gce, tmp_path, 2, ssh_from=networks)
    await cluster.start(timeout=10)
    tag = f"aioec-{cluster.id}"
    rules = {one["name"]: one for one in api.ask("GET", "global/firewalls")["items"]}
    assert sorted(rules) == [f"{tag}-inside", f"{tag}-ssh"]
    inside, ssh = rules[f"{tag}-inside"], rules[f"{tag}-ssh"]
    assert ssh["sourceRanges"] == networks
    assert ssh["allowed"] == [{"IPProtocol": "tcp", "ports": ["22"]}]
    assert inside["sourceTags"] == inside["targetTags"] == ssh["targetTags"] == [tag]
    assert all(tag in api.get(one["name"])["tags"]["items"] for one in gce.instances())
    await cluster.stop()

    assert not made(gce)


async def test_rules_grow_with_what_further_nodes_ask_for(
    gce: GceEndpoint, api: Api, tmp_path: Path
) -> None:
    first, second = "192.0.2.0/24", "198.51.100.0/24"
    cluster = cluster_on(gce, tmp_path, 1, ssh_from=first)
    await cluster.start(timeout=10)
    cluster.add_node("login", **gce.node(), ssh_from=second)
    await cluster.start(timeout=10)
    cluster.add_node("login", **gce.node(), ssh_from=first)
    await cluster.start(timeout=10)

    rule = api.ask("GET", f"global/firewalls/aioec-{cluster.id}-ssh")
    assert rule["sourceRanges"] == [first, second]
    assert rule["allowed"] == [{"IPProtocol": "tcp", "ports": ["22"]}]
    assert len(gce.requests("firewalls.patch")) == 1
    await cluster.stop()
    assert not made(gce)


async def test_rules_are_for_the_network_that_a_subnetwork_is_of(
    gce: GceEndpoint, api: Api, tmp_path: Path
) -> None:
    wish: dict[str, Any] = {"subnetwork": "private", "ssh_from": "192.0.2.0/24"}
    cluster = cluster_on(gce, tmp_path, 1, **wish)
    await cluster.start(timeout=10)
    rules = api.ask("GET", "global/firewalls")["items"]
    assert {one["network"].rpartition("/")[2] for one in rules} == {"private"}

    cluster.add_node("login", **gce.node(), ssh_from="192.0.2.0/24")
    with pytest.raises(InvalidRequestError, match="default, private"):
        await cluster.start(timeout=10)
    assert len(alive(gce)) == 1
    await cluster.stop()
    assert not made(gce)


# A pause


@pytest.mark.parametrize(
    ("suspend", "state"), [(True, "SUSPENDED"), (False, "TERMINATED")]
)
async def test_a_pause_suspends_or_stops(
    gce: GceEndpoint, tmp_path: Path, suspend: bool, state: str
) -> None:
    provider = provider_for(gce, tmp_path, suspend=suspend)
    cluster = cluster_on(gce, tmp_path, 2, provider=provider)
    await cluster.start(timeout=10)
    await cluster.pause(timeout=10)
    assert [one["state"] for one in gce.instances()] == [state] * 2
    await cluster.resume(timeout=10)
    assert [one["state"] for one in gce.instances()] == ["RUNNING"] * 2
    await cluster.pause(timeout=10)
    await cluster.stop(timeout=10)
    assert not made(gce)


@pytest.mark.parametrize("suspend", [True, False])
async def test_who_resumes_need_not_know_how_it_was_paused(
    gce: GceEndpoint, tmp_path: Path, suspend: bool
) -> None:
    pausing = provider_for(gce, tmp_path, suspend=suspend)
    resuming = provider_for(gce, tmp_path, suspend=not suspend)
    cluster = cluster_on(gce, tmp_path, 2, provider=pausing)
    await cluster.start(timeout=10)
    ids = [node.instance_id for node in cluster.get_all_nodes()]
    async with pausing, resuming:
        await pausing.pause(ids)
        gce.forget_requests()
        for provider in (pausing, resuming):
            await provider.pause(ids)
        assert {one["state"] for one in gce.instances()} <= {
            "SUSPENDED" if suspend else "TERMINATED"
        }
        await resuming.resume(ids)
        await resuming.resume(ids)
    assert [one["state"] for one in gce.instances()] == ["RUNNING"] * 2
    assert len(gce.requests()) < 40
    await cluster.stop(timeout=10)


# Host keys


def host_keys_of(cluster: Cluster) -> list[tuple[str, ...]]:
    return [node.record.host_keys for node in cluster.get_all_nodes()]


@needs_hosts
@pytest.mark.parametrize(
    ("shown", "asked"),
    [
        ({"guest_seconds": 0.3, "console_seconds": 60.0}, "getGuestAttributes"),
        ({"guest_seconds": 60.0, "console_seconds": 0.3}, "getSerialPortOutput"),
    ],
    ids=["guest attributes", "serial port"],
)
async def test_host_keys_are_read_over_google_s_own_channels(
    gce_hosts: GceEndpoint, tmp_path: Path, shown: dict[str, float], asked: str
) -> None:
    gce_hosts.behave(**QUICKLY, **shown)
    cluster = cluster_on(gce_hosts, tmp_path, 2, hosts=True, host_keys="cloud")
    await cluster.start(timeout=20)
    results = await cluster.run("echo here")

    assert {one.stdout for one in results.values()} == {"here\n"}
    assert len(set(host_keys_of(cluster))) == 2
    assert len(gce_hosts.requests(f"instances.{asked}")) >= 2
    await cluster.stop()


# Whose they are


async def test_a_cluster_that_moves_takes_its_instances_along(
    gce: GceEndpoint, api: Api, tmp_path: Path
) -> None:
    here, there = MemRepository(), MemRepository()
    cluster = cluster_on(gce, tmp_path, 2, repository=here)
    await cluster.start(timeout=10)
    await there.save(cluster)

    tags = {told(api.get(one["name"]))["aioec-repository"] for one in gce.instances()}
    assert tags == {await there.id()}
    assert not await unrecorded(gce, there)
    assert not await find_orphans(provider_for(gce, tmp_path), there)
    orphans = await find_orphans(provider_for(gce, tmp_path), here)
    assert all(one.foreign for one in orphans)
    await cluster.stop()
    assert not made(gce)


async def test_orphans_are_found_by_their_tags_and_end_on_request(
    gce: GceEndpoint, tmp_path: Path
) -> None:
    repository = MemRepository()
    rules: dict[str, Any] = {"ssh_from": "192.0.2.0/24"}
    lost = cluster_on(gce, tmp_path, 3, name="lost", repository=repository, **rules)
    await lost.start(timeout=10)
    await repository.delete("lost")
    other = cluster_on(gce, tmp_path, 1, name="other", **rules)
    await other.start(timeout=10)
    provider = provider_for(gce, tmp_path)
    orphans = await find_orphans(provider, repository)
    assert sorted(one.node for one in orphans if not one.foreign) == [
        f"compute00{number}" for number in (1, 2, 3)
    ]
    with pytest.raises(ConfigurationError, match=other.id):
        await terminate_orphans(orphans)
    assert len(alive(gce)) == 4
    await terminate_orphans(one for one in orphans if not one.foreign)

    assert alive(gce) == {node.instance_id for node in other.get_all_nodes()}
    assert all(other.id in name for name in made(gce)["firewalls"])
    assert not await find_orphans(provider, other.repository)
