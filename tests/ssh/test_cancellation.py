"""Cancelled at any moment, a connection leaves no socket, process or task."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from itertools import repeat
from pathlib import Path

import anyio
import pytest

from aioelasticluster._aio.polling import poll
from aioelasticluster.ssh.base import HostKeyPolicy, SshTarget
from aioelasticluster.ssh.connect import SshClient
from aioelasticluster.ssh.keys import ClientKeys
from tests.ssh.conftest import StartNodes, target_of

#: After how many turns of the event loop to cancel; a connection takes some hundreds.
MOMENTS = [0, 1, 2, 3, *(2**step for step in range(2, 13))]


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


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


async def cancelled(task: asyncio.Task[None], moment: int, *, twice: bool) -> None:
    for _ in range(moment):
        await asyncio.sleep(0)
    task.cancel()
    if twice:
        await asyncio.sleep(0)
        task.cancel()
    try:
        await task
    except (asyncio.CancelledError, TimeoutError):
        pass


async def bounded(how: str, client: SshClient, target: SshTarget) -> None:
    match how:
        case "timeout":
            async with asyncio.timeout(0.002):
                await client.run(target, "true")
        case "scope":
            with anyio.move_on_after(0.002):
                await client.run(target, "true")
        case _:
            await client.run(target, "true")


@pytest.mark.parametrize("how", ["once", "twice", "timeout", "scope"])
async def test_cancelling_at_any_moment_leaves_nothing_open(
    how: str, warm: SshClient, target: SshTarget
) -> None:
    before, tasks = descriptors(), asyncio.all_tasks()

    for moment in MOMENTS:
        task = asyncio.create_task(bounded(how, warm, target))
        await cancelled(task, moment, twice=how == "twice")
        assert descriptors() == before, f"after {moment} turns"
        assert asyncio.all_tasks() == tasks

    gc.collect()  # unclosed transports would warn here, and warnings are errors


@pytest.mark.parametrize("route", ["jump host", "command"])
async def test_cancelling_on_the_way_ends_the_way_too(
    route: str,
    start_nodes: StartNodes,
    keys: ClientKeys,
    home: Path,
    relay: str,
) -> None:
    [node], [jump] = await start_nodes(), await start_nodes()
    (home / ".ssh" / "known_hosts").write_text(
        f"[127.0.0.1]:{jump.port} {jump.batch.public}\n"
    )
    proxy = relay if route == "command" else f"tester@127.0.0.1:{jump.port}"

    async def operation() -> None:
        async with SshClient(keys, proxy=proxy) as client:
            assert (await client.run(node.target(), "true")).ok

    await operation()
    before, tasks = descriptors(), asyncio.all_tasks()
    for moment in MOMENTS[::2]:
        await cancelled(asyncio.create_task(operation()), moment, twice=False)
        assert asyncio.all_tasks() == tasks

    async def all_closed() -> bool | None:
        return descriptors() <= before or None

    await poll(all_closed, pauses=repeat(0.01))  # a command's end takes a moment

    gc.collect()


async def test_a_silent_port_is_left_at_once(
    silent_port: int, keys: ClientKeys
) -> None:
    async with SshClient(keys) as client:
        before = descriptors()
        with anyio.move_on_after(0.1) as scope:
            await client.connect(target_of(silent_port, policy=HostKeyPolicy.TOFU))

        assert scope.cancelled_caught
        assert descriptors() == before


async def test_a_line_that_waits_for_its_handshake_is_closed(
    keys: ClientKeys, start_nodes: StartNodes
) -> None:
    async def stutter(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"SSH-2")
        await reader.readline()
        begun.set()
        await ended.wait()
        writer.close()

    begun, ended, [node] = asyncio.Event(), asyncio.Event(), await start_nodes()
    server = await asyncio.start_server(stutter, "127.0.0.1", 0)
    slow = target_of(server.sockets[0].getsockname()[1], policy=HostKeyPolicy.TOFU)
    async with server, SshClient(keys, handshakes=1) as client:
        holding = asyncio.create_task(client.run(slow, "true"))
        await begun.wait()
        before = descriptors()
        with anyio.move_on_after(0.1) as scope:
            await client.connect(node.target())
        assert scope.cancelled_caught
        assert descriptors() == before
        ended.set()
        assert not (await holding).ok
