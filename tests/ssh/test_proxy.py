"""Jump hosts and proxy commands: verified ways to nodes that have no other."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import asyncssh
import pytest

from aioelasticluster.errors import (
    AuthenticationError,
    ConfigurationError,
    HostKeyError,
    UnreachableError,
)
from aioelasticluster.ssh.base import HostKeyPolicy, SshTarget
from aioelasticluster.ssh.connect import SshClient
from aioelasticluster.ssh.keys import ClientKeys
from aioelasticluster.ssh.probe import probe
from aioelasticluster.ssh.proxy import JumpHost, fill_command, parse_proxy
from aioelasticluster.ssh.transport import SshTransport
from tests.ssh.conftest import (
    Accepting,
    KeyFiles,
    Listen,
    StartNodes,
    public_of,
    target_of,
)


class Jump:
    """A jump host in the test's own loop, which counts its logins."""

    def __init__(self, port: int, key: asyncssh.SSHKey, counted: list[str]) -> None:
        self.port, self.key, self.logins = port, key, counted

    @property
    def proxy(self) -> str:
        return f"jumper@127.0.0.1:{self.port}"


@pytest.fixture
async def jump(listen: Listen, home: Path) -> Jump:
    logins: list[str] = []

    class Counting(Accepting):
        def begin_auth(self, username: str) -> bool:
            logins.append(username)
            return True

    key = asyncssh.generate_private_key("ssh-ed25519")
    port = await listen(key, server_factory=Counting)
    (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{port} {public_of(key)}\n")
    return Jump(port, key, logins)


async def node_target(listen: Listen) -> SshTarget:
    return target_of(
        await listen(asyncssh.generate_private_key("ssh-ed25519")),
        policy=HostKeyPolicy.TOFU,
    )


async def test_all_nodes_share_one_connection_through_the_jump_host(
    jump: Jump, start_nodes: StartNodes, keys: ClientKeys
) -> None:
    nodes = await start_nodes(5)

    async def accept(_: tuple[str, ...]) -> None:
        pass

    async with SshClient(keys, proxy=jump.proxy) as client:
        reached = await asyncio.gather(
            *(probe(client, node.target(), accept) for node in nodes)
        )

    assert {found.unrotated for found in reached} == {""}
    assert jump.logins == ["jumper"]


async def test_the_nodes_own_host_key_is_verified_behind_the_jump_host(
    jump: Jump, listen: Listen, keys: ClientKeys
) -> None:
    expected = public_of(asyncssh.generate_private_key("ssh-ed25519"))
    port = await listen(asyncssh.generate_private_key("ssh-ed25519"))

    async with SshClient(keys, proxy=jump.proxy) as client:
        with pytest.raises(HostKeyError, match=f"port {port}"):
            await probe(client, target_of(port, host_keys=(expected,)))


async def test_an_unknown_jump_host_is_refused(
    jump: Jump, listen: Listen, keys: ClientKeys, home: Path
) -> None:
    (home / ".ssh" / "known_hosts").unlink()

    async with SshClient(keys, proxy=jump.proxy) as client:
        with pytest.raises(HostKeyError) as caught:
            await client.connect(await node_target(listen))

    assert str(caught.value).startswith(f"jump host (127.0.0.1 port {jump.port})")
    assert jump.key.get_fingerprint() in str(caught.value)
    assert "connect to it once with `ssh`" in str(caught.value)


async def test_a_dead_jump_host_is_asked_once_for_all_nodes(
    jump: Jump, listen: Listen, keys: ClientKeys, home: Path
) -> None:
    asked = 0

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    proxy = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    target = await node_target(listen)
    async with server, SshClient(keys, proxy=proxy) as client:
        results = await asyncio.gather(*(client.run(target, "true") for _ in range(20)))

    assert all("jump host" in result.error for result in results)
    assert asked == 1


async def test_a_node_that_the_jump_host_cannot_reach_is_unreachable(
    jump: Jump, keys: ClientKeys
) -> None:
    target = target_of(1, policy=HostKeyPolicy.TOFU)

    async with SshClient(keys, proxy=jump.proxy) as client:
        with pytest.raises(UnreachableError, match="jump host does not get there"):
            await client.connect(target)


async def test_the_agent_may_open_the_jump_host_where_our_key_does_not(
    agent: str,
    listen: Listen,
    keys: ClientKeys,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    other = asyncssh.generate_private_key("ssh-ed25519")
    other.write_private_key(tmp_path / "other")
    (tmp_path / "other").chmod(0o600)
    other.write_public_key(tmp_path / "other.pub")
    add = await asyncio.create_subprocess_exec("ssh-add", "-q", str(tmp_path / "other"))
    await add.wait()
    key = asyncssh.generate_private_key("ssh-ed25519")
    port = await listen(key, authorized_client_keys=str(tmp_path / "other.pub"))
    (tmp_path / ".ssh" / "known_hosts").write_text(
        f"[127.0.0.1]:{port} {public_of(key)}\n"
    )

    async with SshClient(keys, proxy=f"127.0.0.1:{port}") as client:
        assert (await client.run(await node_target(listen), "true")).ok
        forget = await asyncio.create_subprocess_exec("ssh-add", "-q", "-D")
        await forget.wait()
    async with SshClient(keys, proxy=f"127.0.0.1:{port}") as client:
        with pytest.raises(AuthenticationError, match="jump host"):
            await client.connect(await node_target(listen))


async def test_a_connection_keeps_its_jump_host_until_it_is_closed(
    jump: Jump, listen: Listen, user_key: KeyFiles
) -> None:
    transport = SshTransport(user_key.public, user_key.private, proxy=jump.proxy)
    before = len(os.listdir("/dev/fd"))
    target = await node_target(listen)

    async with await transport.connect(target) as connection:
        assert (await connection.run("true")).exit_status == 0
    for _ in range(20):
        await asyncio.sleep(0.01)
        if len(os.listdir("/dev/fd")) <= before + 1:  # the new listener
            break
    else:
        pytest.fail("the jump host's connection is still open")


async def test_a_proxy_command_leads_to_the_node_and_ends_with_the_connection(
    relay: str, start_nodes: StartNodes, keys: ClientKeys
) -> None:
    [node] = await start_nodes()

    async def accept(_: tuple[str, ...]) -> None:
        pass

    before = len(os.listdir("/dev/fd"))
    async with SshClient(keys, proxy=relay) as client:
        reached = await probe(client, node.target(), accept)
        results = await asyncio.gather(
            *(
                client.run(node.target(host_keys=reached.host_keys), f"echo {number}")
                for number in range(3)
            )
        )

    assert [result.stdout for result in results] == ["0\n", "1\n", "2\n"]
    assert len(os.listdir("/dev/fd")) == before


async def test_a_proxy_command_that_fails_is_quoted(keys: ClientKeys) -> None:
    target = target_of(22, policy=HostKeyPolicy.TOFU)
    command = "sh -c 'echo no route to %h >&2; exit 7'"

    async with SshClient(keys, proxy=command) as client:
        with pytest.raises(UnreachableError) as caught:
            await client.connect(target)

    assert "ended with status 7: no route to 127.0.0.1" in str(caught.value)


async def test_a_silent_proxy_command_is_ended_at_the_connect_timeout(
    keys: ClientKeys, tmp_path: Path
) -> None:
    mark = tmp_path / "pid"
    command = f"sh -c 'echo $$ > {mark}; exec sleep 30'"

    async with SshClient(keys, proxy=command, connect_timeout=0.5) as client:
        with pytest.raises(UnreachableError, match=r"no SSH banner within 0.5 s"):
            await client.connect(target_of(22, policy=HostKeyPolicy.TOFU))

    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bastion", JumpHost("bastion")),
        ("me@bastion:2222", JumpHost("bastion", 2222, "me")),
        ("[::1]:2222", JumpHost("::1", 2222)),
        ("me@fe80::1", JumpHost("fe80::1", 22, "me")),
        ("", ""),
        ("nc %h %p", "nc %h %p"),
        ("/usr/bin/connect-%h", "/usr/bin/connect-%h"),
    ],
)
def test_a_proxy_is_a_jump_host_or_a_command(
    text: str, expected: JumpHost | str
) -> None:
    assert parse_proxy(text) == expected


@pytest.mark.parametrize(
    "text",
    ["bastion:ssh", "bastion:0", "me@", "-oProxyCommand=x", "[::1", "a,b", "nc %x"],
)
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="ssh_proxy"):
        parse_proxy(text)


def test_tokens_of_a_command_are_filled_in_and_quoted() -> None:
    target = target_of(2222, address="10.0.0.1", login="me; rm -rf /")

    filled = fill_command("nc -l %r %h %p 100%%", target)

    assert filled == "nc -l 'me; rm -rf /' 10.0.0.1 2222 100%"
