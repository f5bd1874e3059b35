"""A program on OpenStack is killed as by the power: whoever comes next loses nothing.

Nova and Neutron say what there is.
"""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import anyio
import pytest

from aioelasticluster.model.records import OrderState
from aioelasticluster.providers.base import Preparation
from tests.clouds.clusters import KEY_NAME
from tests.clouds.openstack.clusters import NODE, access, alive, made
from tests.clouds.openstack.program import EVERYTHING, quick_provider
from tests.clouds.openstack.proxy import FaultProxy
from tests.clouds.openstack.scene import OpenStackScene
from tests.clouds.openstack.sharing import MARKS
from tests.clouds.openstack.user import user

pytestmark = [pytest.mark.timeout(120, func_only=True), *MARKS]

#: Within how many seconds after a crash all must be in order again.
PROMISE = 50.0

#: How long (seconds) a start takes here, and a little more: the moments are in it.
SPAN = 5.0

#: How many random moments there are, and how many of them are for every commit.
MOMENTS, OFTEN = 10, 3


async def completed(scene: OpenStackScene) -> None:
    """The same program runs again; then the cluster is stopped."""
    with anyio.fail_after(PROMISE):
        report = await scene.cluster().start()
    assert len(report.alive) == scene.computes
    cluster = await scene.check_complete()
    with anyio.fail_after(PROMISE):
        await cluster.stop()
    await scene.check_empty()


async def stopped(scene: OpenStackScene) -> None:
    """Another program stops the cluster."""
    with anyio.fail_after(PROMISE):
        # Killed before anything was recorded, there is nothing to be stopped.
        if await scene.known():
            await (await scene.stored()).stop()
    await scene.check_empty()


def launches(scene: OpenStackScene) -> int:
    """Return how often servers were asked for."""
    found = scene.rig.requests("nova", "POST")
    return len([one for one in found if one["path"].endswith("/servers")])


@pytest.mark.parametrize(
    "way", [completed, pytest.param(stopped, marks=pytest.mark.soak)]
)
async def test_a_launch_whose_answer_nobody_heard_is_found_and_not_repeated(
    scene: OpenStackScene,
    proxy: FaultProxy,
    way: Callable[[OpenStackScene], Awaitable[None]],
) -> None:
    proxy.delay(2.0, "POST", "/servers")
    through = {**access(scene.rig), "compute_endpoint": proxy.url}
    async with scene.program(scene.script("start", access=through)) as program:
        await scene.answered("POST", "/servers")
        await program.killed()
    (order,) = (await scene.record()).orders.values()
    assert order.state is OrderState.INTENDED
    await way(scene)
    assert launches(scene) == 1
    assert len(scene.rig.servers()) <= scene.computes


async def test_what_is_the_user_s_own_stays_and_what_was_made_goes(
    scene: OpenStackScene,
) -> None:
    public = (scene.folder / "id.pub").read_text()
    with user(scene.rig) as demo:
        demo.sdk.create_keypair("mine", public_key=public)
        demo.sdk.network.create_security_group(name="lab")
        demo.sdk.compute.create_server_group(name="rack", policies=["affinity"])
    scene.computes = 1
    scene.wishes = {"security_group": "lab", "server_group": "rack"}
    scene.yours = {
        "keypairs": ["mine"],
        "security_groups": ["lab"],
        "server_groups": ["rack"],
    }
    await scene.struck("start", "after launch 1")
    assert {one["key"] for one in scene.rig.servers()} == {"mine"}
    await stopped(scene)


async def test_what_was_made_for_a_launch_that_never_was_is_found_by_the_stop(
    scene: OpenStackScene,
) -> None:
    scene.wishes = EVERYTHING
    await scene.struck("start", "after prepare 1")
    assert alive(scene.rig) == set()
    assert len(scene.rig.resources()["demo"]) == 3
    await stopped(scene)


async def test_what_was_made_for_more_nodes_that_never_were_is_found_by_the_stop(
    scene: OpenStackScene,
) -> None:
    scene.computes = 1
    cluster = scene.cluster()
    await cluster.start()
    (node,) = cluster.get_all_nodes()
    options = {"ssh_from": ["127.0.0.0/8"]}
    more = replace(node.record.spec, kind="more", options=options)
    async with quick_provider(access(scene.rig)) as somebody:  # who ends right then
        await somebody.prepare(
            Preparation(
                cluster_id=cluster.id,
                cluster=cluster.name,
                key_name=KEY_NAME,
                public_key=(scene.folder / "id.pub").read_text(),
                specs=[more],
            )
        )
    assert "security_groups" in made(scene.rig)
    await stopped(scene)


@pytest.mark.soak
async def test_an_address_that_a_node_has_left_is_found_by_a_process_that_wants_none(
    scene: OpenStackScene,
) -> None:
    scene.computes, scene.wishes = 2, {"request_floating_ip": True}
    await scene.cluster().start()
    await (await scene.stored()).resize("compute", 0)
    assert len(made(scene.rig)["floating_ips"]) == 2
    cluster = await scene.stored()
    cluster.add_nodes("plain", 1, **NODE)
    await cluster.start()
    assert len(alive(scene.rig)) == 1
    await cluster.stop()
    await scene.check_empty()


@pytest.mark.soak
async def test_a_stop_that_was_killed_is_completed_by_the_next(
    scene: OpenStackScene,
) -> None:
    scene.computes, scene.wishes = 1, EVERYTHING
    await scene.cluster().start()
    await scene.struck("stop", "before cleanup 1")
    assert alive(scene.rig) == set()
    await stopped(scene)


def cases() -> Iterator[Any]:
    """Yield moments; most are for a soak test."""
    for number in range(MOMENTS):
        often = number % (MOMENTS // OFTEN) == 1
        yield pytest.param(number, marks=() if often else pytest.mark.soak)


@pytest.mark.parametrize("number", [*cases()])
async def test_a_start_killed_at_a_random_moment_leaves_nothing_after_a_stop(
    scene: OpenStackScene, number: int
) -> None:
    draw = random.Random(f"{os.environ.get('AIOEC_SEED', '')} {number}")
    scene.wishes = EVERYTHING
    async with scene.program(scene.script("start")) as program:
        await anyio.sleep((number + draw.random()) / MOMENTS * SPAN)
        await program.killed()
    await stopped(scene)
    assert len(scene.rig.servers()) <= scene.computes
