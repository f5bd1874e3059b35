"""Nodes that boot from volumes: the real cinder makes them, and they go with the node.

Cinder is installed, and started, only where these tests run.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from aioelasticluster import Cluster
from aioelasticluster._aio.polling import backoff, poll
from aioelasticluster.errors import (
    CapacityError,
    InvalidRequestError,
    QuotaError,
    StartError,
)
from tests.clouds.openstack.clusters import (
    alive,
    cluster_on,
    made,
    provider_for,
    quicken,
)
from tests.clouds.openstack.rig import OpenStackRig
from tests.clouds.openstack.running import UnavailableError
from tests.clouds.openstack.scene import OpenStackScene
from tests.clouds.openstack.sharing import MARKS
from tests.clouds.openstack.volumes import (
    FAST,
    LOST,
    Volumes,
    installed,
    running_cinder,
)
from tests.required import skip_unless_wanted

pytestmark = [pytest.mark.timeout(120, func_only=True), pytest.mark.soak, *MARKS]

#: Within how many seconds after a crash, or a stop, all must be in order.
PROMISE = 50.0

#: How long (seconds) a start takes here, and how many random moments of it there are.
SPAN, MOMENTS = 8.0, 6

WISHES: dict[str, Any] = {"boot_disk_size": 2, "boot_disk_type": FAST}


@pytest.fixture(scope="module")
def cinder(openstack_rig: OpenStackRig) -> Iterator[Volumes]:
    """Run cinder for this module's tests."""
    if not installed():
        skip_unless_wanted("openstack", "cinder (90 MB)")
    try:
        with running_cinder(openstack_rig) as found:
            yield found
    except UnavailableError as fault:
        pytest.skip(str(fault))


@pytest.fixture
def volumes(rig: OpenStackRig, cinder: Volumes) -> Volumes:
    """Give a cinder in whose cloud nothing is."""
    cinder.reset()
    return cinder


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)


async def seen(volumes: Volumes) -> list[dict[str, Any]]:
    """Return what cinder has."""
    return await anyio.to_thread.run_sync(volumes)


async def gone(volumes: Volumes) -> None:
    """Wait until cinder has no volume: it deletes them behind Nova's back."""

    async def none() -> bool | None:
        return not await seen(volumes) or None

    with anyio.fail_after(PROMISE):
        await poll(none, pauses=backoff(0.1, 0.3))


async def stopped(rig: OpenStackRig, cluster: Cluster, volumes: Volumes) -> None:
    """Stop a cluster; nothing is left of it."""
    await cluster.stop()
    assert alive(rig) == set()
    assert not {"keypairs", "server_groups"} & set(made(rig))
    await gone(volumes)


async def refused(cluster: Cluster) -> StartError:
    """Start a cluster in vain; return why."""
    with pytest.raises(StartError) as caught:
        await cluster.start()
    return caught.value


async def test_nodes_boot_from_volumes_of_that_size_and_type_which_go_with_them(
    rig: OpenStackRig, tmp_path: Path, volumes: Volumes
) -> None:
    hosts = not rig.no_hosts
    cluster = cluster_on(provider_for(rig), tmp_path, 2, hosts=hosts, **WISHES)
    await cluster.start()
    nodes = {node.instance_id for node in cluster.get_all_nodes()}
    found = await seen(volumes)
    assert {(one["size"], one["type"], one["status"]) for one in found} == {
        (2, FAST, "in-use")
    }
    assert sorted(id for one in found for id in one["servers"]) == sorted(nodes)

    await cluster.remove_node("compute002")
    await cluster.pause()
    assert (await cluster.resume()).ok
    (left,) = await seen(volumes)
    assert left["servers"] == [node.instance_id for node in cluster.get_all_nodes()]
    await stopped(rig, cluster, volumes)


async def test_without_a_type_the_cloud_s_own_is_taken(
    rig: OpenStackRig, tmp_path: Path, volumes: Volumes
) -> None:
    cluster = cluster_on(provider_for(rig), tmp_path, 1, boot_disk_size=3)
    await cluster.start()
    (volume,) = await seen(volumes)
    assert (volume["size"], volume["type"]) == (3, "__DEFAULT__")
    await stopped(rig, cluster, volumes)


async def test_an_unknown_type_is_refused_before_anything_is_made(
    rig: OpenStackRig, tmp_path: Path, volumes: Volumes
) -> None:
    wishes = {**WISHES, "boot_disk_type": "gp3"}
    cluster = cluster_on(provider_for(rig), tmp_path, 2, **wishes)
    with pytest.raises(InvalidRequestError, match=rf"boot_disk_type='gp3'.*{FAST}"):
        await cluster.start()
    assert rig.requests("nova", "POST") == []
    assert (rig.servers(), made(rig), await seen(volumes)) == ([], {}, [])


async def test_the_quota_of_volumes_is_told_as_such(
    rig: OpenStackRig, tmp_path: Path, volumes: Volumes
) -> None:
    volumes.set_quota("demo2", volumes=1)
    cluster = cluster_on(provider_for(rig, "demo2"), tmp_path, 2, **WISHES)
    report = await cluster.start(min_nodes={"compute": 1})

    (fault,) = report.failed
    assert isinstance(fault.error, QuotaError)
    assert "Maximum number of volumes allowed (1)" in str(fault.error)
    assert len(await seen(volumes)) == 1
    await stopped(rig, cluster, volumes)


async def test_a_volume_that_no_storage_takes_is_no_room(
    rig: OpenStackRig, tmp_path: Path, volumes: Volumes
) -> None:
    wishes = {**WISHES, "boot_disk_type": LOST}
    cluster = cluster_on(provider_for(rig), tmp_path, 1, **wishes)
    (fault,) = (await refused(cluster)).report.failed

    assert isinstance(fault.error, CapacityError)
    assert "boot_disk_type" in str(fault.error)
    assert alive(rig) == set()
    await gone(volumes)


async def check_stopped(scene: OpenStackScene, volumes: Volumes) -> None:
    """Another program stops the cluster; no volume of it is left, nor anything else."""
    with anyio.fail_after(PROMISE):
        if await scene.known():
            await (await scene.stored()).stop()
    await scene.check_empty()
    await gone(volumes)


async def test_a_start_killed_while_volumes_are_made_leaves_none_after_a_stop(
    scene: OpenStackScene, volumes: Volumes
) -> None:
    scene.wishes = WISHES

    async def some() -> bool | None:
        return bool(await seen(volumes)) or None

    async with scene.program(scene.script("start")) as program:
        with anyio.fail_after(PROMISE):
            await poll(some, pauses=backoff(0.02, 0.05))
        await program.killed()
    await check_stopped(scene, volumes)


@pytest.mark.parametrize("number", range(MOMENTS))
async def test_a_start_killed_at_a_random_moment_leaves_no_volume_after_a_stop(
    scene: OpenStackScene, volumes: Volumes, number: int
) -> None:
    draw = random.Random(f"{os.environ.get('AIOEC_SEED', '')} {number}")
    scene.wishes = WISHES
    async with scene.program(scene.script("start")) as program:
        await anyio.sleep((number + draw.random()) / MOMENTS * SPAN)
        await program.killed()
    await check_stopped(scene, volumes)
