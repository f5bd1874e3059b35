"""A program is killed in the middle of a host key's rotation: nobody is locked out.

The key that a node shows is among the recorded ones at every moment, so that whoever
comes next gets in with the check on; the key that stays is the node's own.
"""

from __future__ import annotations

import random

import anyio
import asyncssh
import pytest

from aioelasticluster.model.records import NodeRecord
from aioelasticluster.ssh.host_keys import public_text
from tests.crash.scene import PROMISE, Scene

#: How long (seconds) the node takes, at most, to put its key in place once told to.
INSTALLATION = 0.2


@pytest.fixture
def scene(scene: Scene) -> Scene:
    """Give a scene of one node: its steps have an order."""
    scene.computes = 0
    return scene


async def node_of(scene: Scene) -> NodeRecord:
    return (await scene.record()).nodes["frontend001"]


async def batch_key(scene: Scene) -> str:
    """Return the key that the node was given, and that its user-data shows."""
    (order,) = (await scene.record()).orders.values()
    return public_text(order.host_key)


async def shown(scene: Scene) -> str:
    """Return the key that the node shows to whoever asks, now."""
    (instance,) = await scene.instances()
    key = await asyncssh.get_server_host_key(instance.addresses[0], instance.ssh_port)
    assert key is not None
    return public_text(key.export_public_key().decode())


async def check_not_locked_out(scene: Scene) -> None:
    """Get in at once with what is recorded; then let the same program run again."""
    assert await shown(scene) in (await node_of(scene)).host_keys
    cluster = await scene.repository().get("demo")
    with anyio.fail_after(PROMISE):
        await cluster.refresh()  # its address may not have been recorded yet
        async with await cluster.frontend.connect() as connection:
            await connection.run("true", check=True)
        assert await scene.run(scene.script("start")) == 0, scene.errors
    key = await shown(scene)
    assert (await node_of(scene)).host_keys == (key,)
    assert key != await batch_key(scene)
    await (await scene.check_complete()).stop()
    await scene.check_empty()


async def test_killed_before_the_new_key_is_recorded_the_node_keeps_the_old_one(
    scene: Scene,
) -> None:
    await scene.struck("start", "before accept 1")
    assert (await node_of(scene)).host_keys == (await batch_key(scene),)
    assert await shown(scene) == await batch_key(scene)
    await check_not_locked_out(scene)


async def test_killed_before_the_new_key_is_installed_both_are_accepted(
    scene: Scene,
) -> None:
    await scene.struck("start", "after accept 1")
    assert len((await node_of(scene)).host_keys) == 2
    assert await shown(scene) == await batch_key(scene)
    await check_not_locked_out(scene)


async def test_killed_after_the_new_key_is_installed_both_are_accepted(
    scene: Scene,
) -> None:
    await scene.struck("start", "after probe 1")
    assert len((await node_of(scene)).host_keys) == 2
    assert await shown(scene) != await batch_key(scene)
    await check_not_locked_out(scene)


@pytest.mark.parametrize(
    "number",
    [*range(3), *(pytest.param(n, marks=pytest.mark.soak) for n in range(3, 40))],
)
async def test_killed_at_any_moment_of_the_installation_nobody_is_locked_out(
    scene: Scene, draw: random.Random, number: int
) -> None:
    delay = draw.uniform(0.0, INSTALLATION)
    strikes = {"after accept 1": f"SIGKILL+{delay}"}
    await scene.run(scene.script("start", strikes=strikes))
    await check_not_locked_out(scene)
