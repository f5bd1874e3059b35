"""The local cloud is a cloud: it outlives its clients and serves several at once."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from aioelasticluster.errors import (
    ConfigurationError,
    InvalidRequestError,
    TransientError,
    UnknownOutcomeError,
)
from aioelasticluster.providers.base import InstanceState, LaunchOrder
from aioelasticluster.providers.local import LocalCloudProvider
from aioelasticluster.providers.local import client as client_module
from aioelasticluster.providers.local.client import ParentClient
from aioelasticluster.providers.local.layout import StateFolder
from tests.providers.local_cloud import (
    PATIENCE,
    LocalCloud,
    eventually,
    processes_of,
    runs,
)

S = InstanceState

#: A client process: launches what it reads, says which instances it got, and waits.
CLIENT = """
import asyncio, pickle, sys
from aioelasticluster.providers.local import LocalCloudProvider

async def main():
    order = pickle.load(sys.stdin.buffer)
    async with LocalCloudProvider(sys.argv[1]) as provider:
        launched = await provider.launch(order)
        print(*[one.id for one in launched.instances], flush=True)
        await asyncio.sleep(float(sys.argv[2]))

asyncio.run(main())
"""


@asynccontextmanager
async def client(
    cloud: LocalCloud, order: LaunchOrder, stay: float = 0.0
) -> AsyncIterator[Process]:
    """Have a client process with an order to launch; it has ended after the block."""
    command = [sys.executable, "-c", CLIENT, str(cloud.state), str(stay)]
    async with await anyio.open_process(command, stderr=None) as process:
        assert process.stdin is not None
        await process.stdin.send(pickle.dumps(order))
        await process.stdin.aclose()
        yield process


async def answer_of(process: Process) -> list[str]:
    """Return the ids that a client process says it has launched."""
    assert process.stdout is not None
    with anyio.fail_after(PATIENCE):
        line = await BufferedByteReceiveStream(process.stdout).receive_until(
            b"\n", 9999
        )
    return line.decode().split()


def parent_of(cloud: LocalCloud) -> int:
    """Return the pid of the cloud's parent process."""
    servers = {
        int(path.read_text())
        for path in (cloud.state / "instances").glob("*/server.pid")
    }
    [parent] = set(processes_of(cloud.state)) - servers
    return parent


# -- several clients


async def test_instances_of_a_killed_client_are_found_by_another(
    cloud: LocalCloud,
) -> None:
    order = cloud.order("a1", "a2")
    async with client(cloud, order, stay=1000) as process:
        ids = await answer_of(process)
        process.kill()
    found = await cloud.provider.find(token=order.token)
    assert [instance.id for instance in found] == ids
    assert [instance.tags for instance in found] == [order.tags] * 2
    await cloud.running(ids)


async def test_a_token_repeated_by_another_process_launches_nothing_new(
    cloud: LocalCloud,
) -> None:
    order = cloud.order("a1", "a2")
    again = replace(order, tags=replace(order.tags, owner="another"))
    async with client(cloud, order) as process:
        ids = await answer_of(process)
        launched = await cloud.provider.launch(again)
    assert [instance.id for instance in launched.instances] == ids
    assert launched.instances[0].tags == order.tags


async def test_clients_that_start_at_once_share_one_parent(cloud: LocalCloud) -> None:
    orders = [cloud.order(f"a{number}") for number in range(4)]
    async with AsyncExitStack() as stack:
        processes = [
            await stack.enter_async_context(client(cloud, order)) for order in orders
        ]
        ids = [id for process in processes for id in await answer_of(process)]
        for process in processes:
            assert await process.wait() == 0
    assert {one.id for one in await cloud.provider.find()} == set(ids)
    assert parent_of(cloud)


async def test_a_token_cannot_be_used_for_another_request(cloud: LocalCloud) -> None:
    order = cloud.order("a1")
    await cloud.provider.launch(order)
    for other in (
        replace(order, user_data="#cloud-config\n{}\n"),
        replace(order, spec=replace(order.spec, flavor="other")),
        replace(order, tags=replace(order.tags, names=("a2",))),
    ):
        with pytest.raises(InvalidRequestError, match="another request"):
            await cloud.provider.launch(other)
    assert len(await cloud.provider.find()) == 1


async def test_a_token_does_not_bring_back_what_was_terminated(
    cloud: LocalCloud,
) -> None:
    await cloud.launch("b1")
    order = cloud.order("a1", "a2")
    first, second = (await cloud.provider.launch(order)).instances
    await cloud.provider.terminate([first.id])
    await cloud.gone(first.id)
    again = await cloud.provider.launch(order)
    assert [instance.id for instance in again.instances] == [second.id]
    await cloud.provider.terminate([second.id])
    await cloud.gone(second.id)
    with pytest.raises(InvalidRequestError, match="terminated"):
        await cloud.provider.launch(order)


async def test_a_public_key_that_is_none_is_refused(cloud: LocalCloud) -> None:
    with pytest.raises(InvalidRequestError, match="public key"):
        await cloud.provider.launch(cloud.order("a1", public_key="ssh-ed25519 x"))
    assert not await cloud.provider.find()


# -- the parent process


async def test_looking_at_an_empty_cloud_starts_nothing(cloud: LocalCloud) -> None:
    assert not await cloud.provider.find()
    assert not await cloud.provider.describe(cloud.cluster_id, ["i-1"])
    await cloud.provider.terminate(["i-1"])
    assert not cloud.state.exists()


async def test_the_parent_is_tied_to_nothing_of_its_client(cloud: LocalCloud) -> None:
    inherited, other = os.pipe()
    os.set_inheritable(inherited, True)
    name = os.readlink(f"/proc/self/fd/{inherited}")
    try:
        [instance] = await cloud.launch()
        parent = parent_of(cloud)
        server = int(await cloud.text(instance, "echo $AIOEC_SSHD_PID"))
    finally:
        os.close(inherited)
        os.close(other)
    for pid in (parent, server):
        assert os.getsid(pid) == pid
        links = await anyio.to_thread.run_sync(links_of, pid)
        assert name not in links
        assert not [link for link in links if "/dev/pts" in link or "tty" in link]


def links_of(pid: int) -> list[str]:
    """Return what the descriptors of a process are."""
    return [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]


async def test_instances_outlive_their_parent_and_are_taken_over(
    cloud: LocalCloud,
) -> None:
    instances = await cloud.launch("a1", "a2")
    ids = [instance.id for instance in instances]
    first = parent_of(cloud)
    os.kill(first, signal.SIGKILL)
    assert await cloud.text(instances[0], "echo alive") == "alive"
    assert await cloud.described(*ids) == instances
    assert parent_of(cloud) != first
    await cloud.provider.terminate(ids)
    await cloud.gone(*ids)


async def test_an_order_that_was_cut_off_is_completed_by_its_repeat(
    cloud: LocalCloud,
) -> None:
    order = cloud.order("a1", "a2", "a3")
    launched = await cloud.provider.launch(order)
    gone = launched.instances[1]
    os.kill(parent_of(cloud), signal.SIGKILL)
    await forgotten(cloud, gone.id, order.token)
    again = await cloud.provider.launch(order)
    assert sorted(instance.index for instance in again.instances) == [0, 1, 2]
    kept = {instance.id for instance in launched.instances} - {gone.id}
    assert kept < {instance.id for instance in again.instances}


async def forgotten(cloud: LocalCloud, identifier: str, token: str) -> None:
    """Make the records look as if the parent had died before one instance."""
    folder = StateFolder(cloud.state)
    os.kill(int(folder.instance(identifier).process.read_text()), signal.SIGKILL)
    folder.instance(identifier).record.unlink()
    path = folder.orders / f"{token}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"made": False}))


async def test_what_a_killed_parent_was_ending_is_ended_by_the_next(
    cloud: LocalCloud,
) -> None:
    [instance] = await cloud.launch()
    record = StateFolder(cloud.state).instance(instance.id).record
    os.kill(parent_of(cloud), signal.SIGKILL)
    plain = json.loads(record.read_text()) | {"terminating": True}
    record.write_text(json.dumps(plain))
    await cloud.gone(instance.id)
    assert not record.exists()


async def test_a_request_survives_the_death_of_the_parent(cloud: LocalCloud) -> None:
    [instance] = await cloud.launch()
    parent = parent_of(cloud)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(cloud.provider.find()) for _ in range(5)]
        os.kill(parent, signal.SIGKILL)
        tasks += [group.create_task(cloud.provider.find()) for _ in range(5)]
    for task in tasks:
        assert [one.id for one in task.result()] == [instance.id]


async def test_clients_and_a_leaving_parent_do_not_miss_each_other(
    cloud: LocalCloud,
) -> None:
    another = LocalCloudProvider(cloud.state)
    for number in range(6):
        [instance] = (await cloud.provider.launch(cloud.order(f"a{number}"))).instances
        await cloud.provider.terminate([instance.id])
        await cloud.gone(instance.id)
        launched = await another.launch(cloud.order(f"b{number}"))
        assert len(launched.instances) == 1
        await another.terminate([launched.instances[0].id])


async def test_a_parent_that_stands_still_does_not_hold_its_clients_for_ever(
    cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cloud.launch()
    parent = parent_of(cloud)
    monkeypatch.setattr(client_module, "PATIENCE", 0.2)
    os.kill(parent, signal.SIGSTOP)
    try:
        with pytest.raises(TransientError, match="not answered"):
            await cloud.provider.find()
        with pytest.raises(UnknownOutcomeError, match="not answered"):
            await cloud.provider.launch(cloud.order("a2"))
    finally:
        os.kill(parent, signal.SIGCONT)
    monkeypatch.undo()
    assert len(await cloud.provider.find()) == 2


async def test_a_record_that_cannot_be_read_is_not_taken_for_rubbish(
    cloud: LocalCloud,
) -> None:
    [instance] = await cloud.launch()
    record = StateFolder(cloud.state).instance(instance.id).record
    text = record.read_text()
    os.kill(parent_of(cloud), signal.SIGKILL)
    record.write_text("{")
    assert not await cloud.provider.find()
    assert await cloud.text(instance, "echo alive") == "alive"
    os.kill(parent_of(cloud), signal.SIGKILL)
    record.write_text(json.dumps(json.loads(text) | {"from_the_future": 1}))
    assert await cloud.provider.find() == (instance,)


async def test_a_parent_that_is_told_to_stop_leaves_its_instances(
    cloud: LocalCloud,
) -> None:
    [instance] = await cloud.launch()
    parent = parent_of(cloud)
    os.kill(parent, signal.SIGTERM)
    await eventually(lambda: not runs(parent))
    assert await cloud.text(instance, "echo alive") == "alive"
    assert await cloud.described(instance.id) == [instance]


async def test_somebody_else_on_a_stale_port_is_not_believed(
    cloud: LocalCloud,
) -> None:
    heard: list[bytes] = []

    async def pretend(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        heard.append(await reader.readline())
        writer.write(b'{"proof": "trust me", "nonce": "x"}\n')
        await writer.drain()
        heard.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(pretend, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    cloud.state.mkdir(mode=0o700)
    contact = StateFolder(cloud.state).contact
    contact.write_text(json.dumps({"port": port, "secret": "s3cret"}))
    async with server:
        await cloud.launch()
        await eventually(lambda: len(heard) >= 2)
    assert b"s3cret" not in b"".join(heard)
    assert heard[1] == b""


@pytest.mark.parametrize(
    "words",
    [
        b'{"id": 1, "verb": "find"}\n',
        b'{"proof": "guess"}\n{"id": 1, "verb": "find"}\n',
        b"GET / HTTP/1.0\r\n\r\n",
        b"x" * 100_000,
    ],
)
async def test_whoever_does_not_know_the_secret_is_told_nothing(
    cloud: LocalCloud, words: bytes
) -> None:
    await cloud.launch()
    contact = json.loads(StateFolder(cloud.state).contact.read_text())
    reader, writer = await asyncio.open_connection("127.0.0.1", contact["port"])
    writer.write(words)
    try:
        with anyio.fail_after(5):
            assert not await reader.read()
    except ConnectionResetError:
        pass
    finally:
        writer.close()
    assert len(await cloud.provider.find()) == 1


async def test_the_parents_own_errors_are_ours(cloud: LocalCloud) -> None:
    await cloud.launch()
    line = ParentClient(StateFolder(cloud.state))
    try:
        with pytest.raises(InvalidRequestError, match="no such verb"):
            await line.request("dance", {}, start=False)
        with pytest.raises(TransientError, match="KeyError"):
            await line.request("terminate", {}, start=False)
    finally:
        line.close()


# -- where its state is


async def test_the_path_of_the_state_may_be_long(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["a-rather-long-name-for-a-folder"] * 6)
    folder.mkdir(parents=True)
    cloud = LocalCloud(folder, LocalCloudProvider(folder / "state"))
    async with cloud.provider:
        try:
            [instance] = await cloud.launch()
            assert await cloud.text(instance, "echo up") == "up"
        finally:
            await cloud.end()
    await eventually(lambda: not processes_of(cloud.state))


async def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cloud = LocalCloud(tmp_path, LocalCloudProvider(tmp_path / "file" / "state"))
    with pytest.raises(InvalidRequestError, match="file/state"):
        await cloud.provider.launch(cloud.order("a1"))


async def test_a_state_folder_that_others_can_write_to_is_refused(
    tmp_path: Path,
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    cloud = LocalCloud(tmp_path, LocalCloudProvider(shared))
    with pytest.raises(InvalidRequestError, match="other users"):
        await cloud.provider.launch(cloud.order("a1"))


def test_the_state_is_kept_where_the_platform_keeps_state(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = Path(LocalCloudProvider().settings()["state_dir"])
    assert folder.is_relative_to(tmp_path)
    assert folder.parts[-2:] == ("aioelasticluster", "local")


async def test_the_identity_tells_one_local_cloud_from_another(
    tmp_path: Path,
) -> None:
    one, other = LocalCloudProvider(tmp_path / "1"), LocalCloudProvider(tmp_path / "2")
    assert await one.identity() != await other.identity()
    assert (await one.identity()).startswith("local:")
    assert socket.gethostname() in await one.identity()


def test_any_option_is_refused_by_name(tmp_path: Path) -> None:
    cloud = LocalCloud(tmp_path, LocalCloudProvider(tmp_path))
    spec = replace(cloud.order("a1").spec, options={"spot": True})
    with pytest.raises(ConfigurationError) as caught:
        cloud.provider.check_options(spec)
    assert (caught.value.field, caught.value.value) == ("spot", True)


def test_one_provider_serves_one_run_after_another(state: Path) -> None:
    cloud = LocalCloud(state.parent, LocalCloudProvider(state))
    try:
        [instance] = asyncio.run(cloud.launch())
        assert asyncio.run(cloud.described(instance.id)) == [instance]
    finally:
        asyncio.run(cloud.end())
