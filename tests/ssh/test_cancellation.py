"""Cancelled at any moment, a connection leaves no socket, process or task."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator

import anyio
import pytest

from aioelasticluster.ssh.base import HostKeyPolicy, SshTarget
from aioelasticluster.ssh.connect import SshClient
from aioelasticluster.ssh.keys import ClientKeys
from tests.ssh.conftest import StartNodes, target_of


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def others() -> set[str]:
    """Return the tasks beside the test's own."""
    return {task.get_name() for task in asyncio.all_tasks()} - {
        task.get_name() for task in [asyncio.current_task()] if task
    }


@pytest.fixture
async def target(start_nodes: StartNodes) -> SshTarget:
    [node] = await start_nodes()
    return node.target()


@pytest.fixture
async def warm(target: SshTarget, keys: ClientKeys) -> AsyncIterator[SshClient]:
    """A client whose imports and threads are paid for."""
    async with SshClient(keys) as client:
        assert (await client.run(target, "true")).ok
        yield client


async def turns_of(client: SshClient, target: SshTarget) -> int:
    """Return how many turns of the loop a whole connection takes."""
    task = asyncio.create_task(client.run(target, "true"))
    turns = 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    return turns


@pytest.mark.parametrize("how", ["once", "twice", "timeout", "scope"])
async def test_cancelling_at_any_moment_leaves_nothing_open(
    how: str, warm: SshClient, target: SshTarget
) -> None:
    before, tasks = descriptors(), others()
    moments = [0, 1, 2, 3, *(2**step for step in range(2, 13))]

    for moment in moments:
        await _cancelled(how, moment, warm, target)
        await asyncio.sleep(0)  # in which a transport's close takes effect
        assert descriptors() == before, f"after {moment} turns"
        assert others() == tasks

    gc.collect()  # unclosed transports would warn here, and warnings are errors


async def _cancelled(
    how: str, moment: int, client: SshClient, target: SshTarget
) -> None:
    task = asyncio.create_task(_bounded(how, client, target))
    for _ in range(moment):
        await asyncio.sleep(0)
    task.cancel()
    if how == "twice":
        await asyncio.sleep(0)
        task.cancel()
    try:
        await task
    except (asyncio.CancelledError, TimeoutError):
        pass


async def _bounded(how: str, client: SshClient, target: SshTarget) -> None:
    match how:
        case "timeout":
            async with asyncio.timeout(0.002):
                await client.run(target, "true")
        case "scope":
            with anyio.move_on_after(0.002):
                await client.run(target, "true")
        case _:
            await client.run(target, "true")


async def test_a_silent_port_is_left_at_once(
    silent_port: int, keys: ClientKeys
) -> None:
    async with SshClient(keys) as client:
        before = descriptors()
        with anyio.move_on_after(0.1) as scope:
            await client.connect(target_of(silent_port, policy=HostKeyPolicy.TOFU))

        assert scope.cancelled_caught
        assert descriptors() == before
