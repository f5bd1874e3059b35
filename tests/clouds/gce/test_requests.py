"""How many requests a cluster takes, and that each is one that Google knows."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aioelasticluster import GoogleCloudProvider, NodeState, SqliteRepository
from aioelasticluster.providers.base import LaunchOrder
from aioelasticluster.providers.google.launching import bulk_insert
from tests.clouds.clusters import NoSsh, alive, made, new_key
from tests.clouds.gce.clusters import cluster_on
from tests.clouds.gce.refusals import RefusalError
from tests.clouds.gce.running import GceEndpoint
from tests.clouds.gce.spec import spec
from tests.providers.google.samples import order

PATH = "projects/p/zones/us-central1-a/instances/bulkInsert"


# How many


@pytest.mark.parametrize(
    ("count", "start", "others"),
    [
        (100, 20, 10),
        pytest.param(1000, 80, 20, marks=[pytest.mark.soak, pytest.mark.timeout(180)]),
    ],
)
async def test_requests_do_not_grow_with_the_number_of_nodes(
    gce: GceEndpoint, tmp_path: Path, count: int, start: int, others: int
) -> None:
    # Time goes ten times as fast: boots of 20 s, and the pauses as shipped.
    gce.behave(latency=0.02, boot_seconds=2.0)
    repository, key = SqliteRepository(tmp_path / "clusters.sqlite"), new_key(tmp_path)
    cloud = GoogleCloudProvider(
        gce.project,
        gce.zone,
        credentials=str(gce.write_credentials(tmp_path).first),
        api_root=gce.api_root,
    )
    for pauses in ("poll_pauses", "end_pauses"):
        setattr(cloud, pauses, tuple(each / 10 for each in getattr(cloud, pauses)))
    transport = NoSsh(key)
    cluster = cluster_on(
        gce, tmp_path, count, provider=cloud, repository=repository, transport=transport
    )
    report = await cluster.start()
    assert len(report.alive) == count
    asked = Counter(request["action"] for request in gce.requests())
    assert asked.total() <= start, asked
    assert asked["instances.bulkInsert"] == count // 100

    gce.forget_requests()
    reloaded = await repository.get("demo", cloud_provider=cloud, transport=transport)
    assert {node.state for node in reloaded.get_all_nodes()} == {NodeState.ALIVE}
    await reloaded.stop()
    asked = Counter(request["action"] for request in gce.requests())
    assert asked["instances.delete"] == count
    assert asked.total() <= count + others, asked
    assert alive(gce) == set()
    assert made(gce) == {}


# Whether Google knows them


def checked(body: Any) -> None:
    """Check a bulk request against Google's description; raise `RefusalError`."""
    method, _ = spec().route("POST", PATH)
    spec().body(method, json.dumps(body).encode())


def with_all_options() -> LaunchOrder:
    """Return an order with every option that there is."""
    everything = order(
        "compute001",
        "compute002",
        network="lab",
        subnetwork="lab-a",
        public_address=True,
        tags=["one", "two"],
        boot_disk_size=40,
        boot_disk_type="pd-ssd",
        local_ssd_count=2,
        local_ssd_interface="NVME",
        accelerator_count=1,
        accelerator_type="nvidia-tesla-t4",
        min_cpu_platform="Intel Skylake",
        spot=True,
        max_run_duration=3600,
        service_account="me@p.iam.gserviceaccount.com",
        scopes=["storage-ro"],
        allow_project_ssh_keys=False,
    )
    return replace(everything, user_data="#cloud-config\n{}\n")


@pytest.mark.parametrize(
    "ordered",
    [
        order(),
        order(zone="us-central1"),
        order(zone="us-central1", target_shape="ANY", avoid_zones="us-central1-c"),
        order(zone="us-central1-b/e2-medium"),
        order(network="lab", public_address=False),
        order(scheduling="preemptible"),
        order(max_run_duration=60),
        with_all_options(),
    ],
    ids=["plain", "region", "shape", "flavor", "network", "old spot", "end", "all"],
)
def test_what_an_order_becomes_is_as_google_describes_it(ordered: LaunchOrder) -> None:
    checked(bulk_insert(ordered))


def mistaken(*path: str, value: Any) -> Any:
    """Return a body of ours with one value that it should not have."""
    body = bulk_insert(with_all_options())
    place: Any = body
    for part in path[:-1]:
        place = place[int(part)] if isinstance(place, list) else place[part]
    place[path[-1]] = value
    return body


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("minimum",), "1"),
        (("instanceProperties", "zone"), "us-central1-a"),
        (("instanceProperties", "disks", "0", "size"), "40"),
        (("instanceProperties", "disks", "1", "interface"), "SATA"),
        (("instanceProperties", "disks", "1", "type"), "LOCAL"),
        (("instanceProperties", "scheduling", "provisioningModel"), "CHEAP"),
        (("instanceProperties", "scheduling", "instanceTerminationAction"), "KILL"),
        (("instanceProperties", "metadata", "items", "0", "key"), "a name"),
        (("count",), "many"),
        (("instanceProperties", "labels"), ["a", "b"]),
    ],
)
def test_a_mistake_in_an_order_is_found_by_google_s_description(
    path: tuple[str, ...], value: Any
) -> None:
    with pytest.raises(RefusalError) as no:
        checked(mistaken(*path, value=value))
    assert no.value.status == 400
