"""The injected host key is replaced on the node, and nobody is ever locked out."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from itertools import repeat
from pathlib import Path

import asyncssh
import pytest

from aioelasticluster._aio.polling import poll
from aioelasticluster.errors import HostKeyError
from aioelasticluster.ssh import rotation
from aioelasticluster.ssh.base import Accept, Reached, SshTarget
from aioelasticluster.ssh.connect import SshClient
from aioelasticluster.ssh.keys import ClientKeys
from aioelasticluster.ssh.probe import probe
from tests.ssh.conftest import Node, StartNodes, public_of

NOBODY = 65534


class Record:
    """The accepted keys of one node as they are on disk."""

    def __init__(self, *keys: str) -> None:
        self.keys = keys
        self.saved = asyncio.Event()

    async def accept(self, keys: tuple[str, ...]) -> None:
        self.keys = keys
        self.saved.set()

    async def accept_and_hang(self, keys: tuple[str, ...]) -> None:
        await self.accept(keys)
        await asyncio.Event().wait()

    async def hang(self, keys: tuple[str, ...]) -> None:
        self.saved.set()
        await asyncio.Event().wait()


async def probed(keys: ClientKeys, target: SshTarget, record: Record) -> Reached:
    """Probe as the engine does, with a client that lives for this probe only."""
    async with SshClient(keys) as client:
        return await probe(client, target, record.accept)


def key_in(node: Node) -> str:
    return public_of(asyncssh.read_private_key(node.key_file))


def litter(node: Node) -> list[str]:
    """Return what lies beside the two halves of the node's key."""
    names = {node.key_file.name, f"{node.key_file.name}.pub"}
    return [
        path.name for path in node.key_file.parent.iterdir() if path.name not in names
    ]


async def no_litter(node: Node) -> None:
    """Wait until the script, which outlives its connection, has tidied up."""

    async def tidy() -> bool | None:
        return not litter(node) or None

    await poll(tidy, pauses=repeat(0.01))


async def test_the_node_gets_a_key_of_its_own_and_shows_it_at_once(
    start_nodes: StartNodes, keys: ClientKeys
) -> None:
    [node] = await start_nodes()
    record = Record(node.batch.public)

    reached = await probed(keys, node.target(), record)

    assert reached.unrotated == ""
    [new] = reached.host_keys
    assert record.keys == (node.batch.public, new)
    assert new == key_in(node) != node.batch.public
    assert stat.S_IMODE(node.key_file.stat().st_mode) == 0o600
    public = node.key_file.with_name("key.pub")
    assert public.read_text().split() == new.split()
    assert stat.S_IMODE(public.stat().st_mode) == 0o644
    async with SshClient(keys) as client:
        assert (await client.run(node.target(host_keys=(new,)), "true")).ok
    await no_litter(node)


async def test_the_injected_key_is_refused_after_rotation(
    start_nodes: StartNodes, keys: ClientKeys
) -> None:
    [node] = await start_nodes()
    await probed(keys, node.target(), Record())

    with pytest.raises(HostKeyError):
        await probed(keys, node.target(), Record())


async def test_fifty_nodes_rotate_at_once_each_to_a_key_of_its_own(
    start_nodes: StartNodes, keys: ClientKeys
) -> None:
    nodes = await start_nodes(50)

    async with SshClient(keys) as client:
        reached = await asyncio.gather(
            *(probe(client, node.target(), Record().accept) for node in nodes)
        )

    assert {found.unrotated for found in reached} == {""}
    assert len({found.host_keys for found in reached}) == 50


async def test_without_accept_the_injected_key_stays(
    start_nodes: StartNodes, keys: ClientKeys
) -> None:
    [node] = await start_nodes()

    async with SshClient(keys) as client:
        reached = await probe(client, node.target())

    assert reached == Reached(host_keys=(node.batch.public,))
    assert key_in(node) == node.batch.public


async def cut(keys: ClientKeys, node: Node, record: Record, accept: Accept) -> None:
    """Probe, and be cancelled once the record's event is set."""
    async with SshClient(keys) as client:
        task = asyncio.create_task(probe(client, node.target(), accept))
        await record.saved.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_cut_before_both_keys_are_recorded_nothing_changes(
    start_nodes: StartNodes, keys: ClientKeys
) -> None:
    [node] = await start_nodes()
    record = Record(node.batch.public)

    await cut(keys, node, record, record.hang)

    await no_litter(node)
    assert key_in(node) == node.batch.public
    node.reload()
    reached = await probed(keys, node.target(host_keys=record.keys), record)
    assert reached == Reached(host_keys=(key_in(node),))


async def test_cut_between_record_and_install_the_old_key_still_opens(
    start_nodes: StartNodes, keys: ClientKeys
) -> None:
    [node] = await start_nodes()
    record = Record(node.batch.public)

    await cut(keys, node, record, record.accept_and_hang)

    await no_litter(node)
    assert record.keys[0] == key_in(node) == node.batch.public
    first = record.keys
    reached = await probed(keys, node.target(host_keys=record.keys), record)
    assert reached == Reached(host_keys=(key_in(node),))
    assert record.keys == (*first, key_in(node)), "no recorded key may be forgotten"


async def test_cut_after_install_both_keys_stay_and_the_new_one_is_found(
    start_nodes: StartNodes, keys: ClientKeys
) -> None:
    [node] = await start_nodes(drop_on_reload=True)
    record = Record(node.batch.public)

    reached = await probed(keys, node.target(), record)

    assert reached.host_keys == record.keys == (node.batch.public, key_in(node))
    assert "before the node confirmed" in reached.unrotated
    again = await probed(keys, node.target(host_keys=record.keys), record)
    assert again == Reached(host_keys=(key_in(node),))


async def test_a_refusing_accept_leaves_the_node_as_it_was(
    start_nodes: StartNodes, keys: ClientKeys
) -> None:
    async def refuse(_: tuple[str, ...]) -> None:
        raise OSError("disk full")

    [node] = await start_nodes()

    async with SshClient(keys) as client:
        with pytest.raises(OSError, match="disk full"):
            await probe(client, node.target(), refuse)

    await no_litter(node)
    assert key_in(node) == node.batch.public


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder of commands that come first on the nodes."""
    folder = tmp_path / "tools"
    folder.mkdir()
    folder.chmod(0o755)
    return folder


def tool(folder: Path, name: str, script: str) -> dict[str, str]:
    """Add a command and return the environment that finds it."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def lock(node: Node) -> int | None:
    """Make the key folder unwritable; return the user for whom it is."""
    folder = node.key_file.parent
    if os.getuid() == 0:  # to whom everything is writable
        for path in (folder, node.key_file):
            os.chown(path, NOBODY, NOBODY)
    folder.chmod(0o500)
    return NOBODY if os.getuid() == 0 else None


@pytest.fixture
def open_to_all(tmp_path: Path) -> None:
    """Let another user pass to what lies in this test's folder."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)


async def test_without_root_and_sudo_the_injected_key_stays_with_the_reason(
    start_nodes: StartNodes, keys: ClientKeys, tools: Path, open_to_all: None
) -> None:
    environment = tool(tools, "sudo", "echo 'a password is required' >&2; exit 1")
    user = NOBODY if os.getuid() == 0 else None
    [node] = await start_nodes(environment=environment, user=user)
    lock(node)

    reached = await probed(keys, node.target(), Record())

    assert reached.host_keys == (node.batch.public,)
    assert reached.unrotated == "no sudo without a password: a password is required"
    node.key_file.parent.chmod(0o700)


async def test_sudo_without_a_password_does_what_the_user_may_not(
    start_nodes: StartNodes, keys: ClientKeys, tools: Path, open_to_all: None
) -> None:
    # Stands in for root: the same user, to whom it opens the folder first. It drops
    # the environment, as the real one does.
    environment = tool(
        tools,
        "sudo",
        'chmod u+w "$(dirname "$AIOEC_HOST_KEY_FILE")"; shift\n'
        'exec env -i PATH="$PATH" "$@"',
    )
    user = NOBODY if os.getuid() == 0 else None
    [node] = await start_nodes(environment=environment, user=user)
    lock(node)

    reached = await probed(keys, node.target(), Record())

    # Signalling the server is another thing that nobody may not do.
    assert key_in(node) == reached.host_keys[-1] != node.batch.public


@pytest.mark.parametrize(
    ("name", "script", "reason"),
    [
        ("ssh-keygen", "echo 'no entropy' >&2; exit 1", "no entropy"),
        ("mktemp", "exit 1", "cannot write to"),
    ],
)
async def test_a_tool_that_fails_on_the_node_is_a_reason(
    name: str,
    script: str,
    reason: str,
    start_nodes: StartNodes,
    keys: ClientKeys,
    tools: Path,
) -> None:
    [node] = await start_nodes(environment=tool(tools, name, script))

    reached = await probed(keys, node.target(), Record())

    assert reached.host_keys == (node.batch.public,)
    assert reason in reached.unrotated
    await no_litter(node)


async def test_a_chatty_node_is_understood(
    start_nodes: StartNodes, keys: ClientKeys, tools: Path
) -> None:
    chatty = 'echo Welcome; echo; exec /bin/chmod "$@"'
    [node] = await start_nodes(environment=tool(tools, "chmod", chatty))

    reached = await probed(keys, node.target(), Record())

    assert reached == Reached(host_keys=(key_in(node),))


async def test_a_server_that_does_not_reload_keeps_both_keys_accepted(
    start_nodes: StartNodes, keys: ClientKeys, tools: Path
) -> None:
    environment = tool(tools, "systemctl", "exit 1") | {"AIOEC_SSHD_PID": "999999999"}
    [node] = await start_nodes(environment=environment)
    record = Record(node.batch.public)

    reached = await probed(keys, node.target(), record)

    assert reached.host_keys == record.keys == (node.batch.public, key_in(node))
    assert reached.unrotated == "the SSH server does not reload"
    before = await probed(keys, node.target(host_keys=record.keys), record)
    assert node.batch.public in before.host_keys
    node.reload()  # as a reboot of the node would
    after = await probed(keys, node.target(host_keys=record.keys), record)
    assert after == Reached(host_keys=(key_in(node),))


async def test_a_hung_node_costs_bounded_time(
    start_nodes: StartNodes,
    keys: ClientKeys,
    tools: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rotation, "STEP_PATIENCE", 0.5)
    [node] = await start_nodes(environment=tool(tools, "ssh-keygen", "exec sleep 30"))

    started = time.monotonic()
    reached = await probed(keys, node.target(), Record())

    assert time.monotonic() - started < 3
    assert reached.host_keys == (node.batch.public,)
    assert reached.unrotated == "no answer from the node within 0.5 s"


async def test_a_node_that_hangs_while_installing_keeps_both_keys_accepted(
    start_nodes: StartNodes,
    keys: ClientKeys,
    tools: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rotation, "STEP_PATIENCE", 0.5)
    [node] = await start_nodes(environment=tool(tools, "restorecon", "exec sleep 30"))
    record = Record(node.batch.public)

    reached = await probed(keys, node.target(), record)

    assert reached.host_keys == record.keys == (node.batch.public, key_in(node))
    assert "has not confirmed its new key" in reached.unrotated
    node.reload()
    again = await probed(keys, node.target(host_keys=record.keys), record)
    assert again == Reached(host_keys=(key_in(node),))
