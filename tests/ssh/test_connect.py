"""Connections: verified, authenticated, bounded, and clear about what went wrong."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import time
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from aioelasticluster.errors import (
    AuthenticationError,
    HostKeyError,
    SshError,
    UnreachableError,
)
from aioelasticluster.ssh.base import HostKeyPolicy
from aioelasticluster.ssh.connect import SshClient
from aioelasticluster.ssh.host_keys import fingerprint
from aioelasticluster.ssh.keys import ClientKeys, load_client_keys
from aioelasticluster.ssh.probe import probe
from aioelasticluster.ssh.transport import SshTransport
from tests.ssh.conftest import (
    KeyFiles,
    Listen,
    StartNodes,
    public_of,
    target_of,
    write_pair,
)


@pytest.fixture(scope="module")
def host_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256"])
async def test_a_node_with_the_recorded_host_key_is_reached(
    kind: str, listen: Listen, keys: ClientKeys
) -> None:
    own = asyncssh.generate_private_key(kind)
    another = asyncssh.generate_private_key("ssh-ed25519")
    port = await listen(another, own) if kind != "ssh-ed25519" else await listen(own)
    target = target_of(port, host_keys=(public_of(own),))

    async with SshClient(keys) as client:
        result = await client.run(target, "uptime")
        reached = await probe(client, target)

    assert (result.status, result.stdout) == (0, "ran uptime\n")
    assert reached.host_keys == (public_of(own),)


async def test_another_host_key_is_refused_and_both_are_named(
    listen: Listen, keys: ClientKeys, host_key: asyncssh.SSHKey
) -> None:
    expected = public_of(asyncssh.generate_private_key("ssh-ed25519"))
    port = await listen(host_key)

    async with SshClient(keys) as client:
        with pytest.raises(HostKeyError) as caught:
            await probe(client, target_of(port, host_keys=(expected,)))

    assert str(caught.value) == (
        f"compute001 (127.0.0.1 port {port}): shows host key "
        f"{host_key.get_fingerprint()}, expected {fingerprint(expected)}"
    )


async def test_a_host_key_of_another_type_is_refused_and_named(
    listen: Listen, keys: ClientKeys
) -> None:
    shown = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    expected = public_of(asyncssh.generate_private_key("ssh-ed25519"))
    target = target_of(await listen(shown), host_keys=(expected,))

    async with SshClient(keys) as client:
        with pytest.raises(HostKeyError, match=shown.get_fingerprint().split("+")[0]):
            await client.connect(target)


@pytest.mark.parametrize("policy", [HostKeyPolicy.INJECTED, HostKeyPolicy.CLOUD])
async def test_without_a_recorded_host_key_nobody_is_spoken_to(
    policy: HostKeyPolicy, silent_port: int, keys: ClientKeys
) -> None:
    async with SshClient(keys) as client:
        with pytest.raises(HostKeyError, match="no host key of it is recorded"):
            await client.connect(target_of(silent_port, policy=policy))


async def test_the_first_host_key_is_pinned_and_no_other_is_taken_after(
    listen: Listen, keys: ClientKeys, host_key: asyncssh.SSHKey
) -> None:
    policy = HostKeyPolicy.TOFU
    first = target_of(await listen(host_key), policy=policy)
    imposter = await listen(asyncssh.generate_private_key("ssh-ed25519"))

    async with SshClient(keys) as client:
        pinned = (await probe(client, first)).host_keys
        again = await probe(
            client, target_of(first.port, policy=policy, host_keys=pinned)
        )
        with pytest.raises(HostKeyError):
            await probe(client, target_of(imposter, policy=policy, host_keys=pinned))

    assert pinned == again.host_keys == (public_of(host_key),)


@pytest.mark.parametrize("principals", [["127.0.0.1"], []])
async def test_a_certified_host_key_is_trusted_under_the_ca_policy(
    principals: list[str], listen: Listen, keys: ClientKeys, host_key: asyncssh.SSHKey
) -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    certificate = authority.generate_host_certificate(
        host_key, "host", principals=principals
    )
    port = await listen((host_key, certificate))
    target = target_of(port, policy=HostKeyPolicy.CA, host_ca=public_of(authority))

    async with SshClient(keys) as client:
        reached = await probe(client, target)

    assert reached.host_keys == (public_of(host_key),)


async def test_the_ca_policy_refuses_plain_foreign_and_expired_host_keys(
    listen: Listen, keys: ClientKeys, host_key: asyncssh.SSHKey
) -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    foreign = asyncssh.generate_private_key("ssh-ed25519")
    expired = authority.generate_host_certificate(
        host_key, "host", valid_after=0, valid_before=1
    )
    shown = [
        host_key,
        (host_key, foreign.generate_host_certificate(host_key, "host")),
        (host_key, expired),
    ]
    told: list[str] = []

    async with SshClient(keys) as client:
        for credentials in shown:
            target = target_of(
                await listen(credentials),
                policy=HostKeyPolicy.CA,
                host_ca=public_of(authority),
            )
            with pytest.raises(HostKeyError) as caught:
                await client.connect(target)
            told.append(str(caught.value))

    assert host_key.get_fingerprint() in told[0]
    assert "not trusted" in told[1]
    assert "expired" in told[2]
    assert all(authority.get_fingerprint() in text for text in told)


@pytest.mark.parametrize("kind", ["ssh-rsa", "ecdsa-sha2-nistp384"])
async def test_each_type_of_client_key_logs_in(
    kind: str, listen: Listen, tmp_path: Path, host_key: asyncssh.SSHKey
) -> None:
    pair = write_pair(tmp_path, "id", asyncssh.generate_private_key(kind))
    port = await listen(host_key, authorized_client_keys=str(pair.public))
    target = target_of(port, host_keys=(public_of(host_key),))

    result = await SshTransport(pair.public, pair.private).run(target, "true")

    assert result.ok, result.error


async def test_the_agent_signs_for_a_key_that_it_holds(
    agent: str, listen: Listen, user_key: KeyFiles, host_key: asyncssh.SSHKey
) -> None:
    add = await asyncio.create_subprocess_exec("ssh-add", "-q", str(user_key.private))
    await add.wait()
    target = target_of(await listen(host_key), host_keys=(public_of(host_key),))

    async with SshClient(await load_client_keys(user_key.public, None)) as client:
        results = await asyncio.gather(
            *(client.run(target, f"echo {number}") for number in range(5))
        )
        forget = await asyncio.create_subprocess_exec("ssh-add", "-q", "-D")
        await forget.wait()
        with pytest.raises(AuthenticationError, match="does not offer SHA256:"):
            await client.connect(target)

    assert all(result.ok for result in results), results


async def test_a_refused_key_says_which_key_and_which_login(
    listen: Listen, keys: ClientKeys, host_key: asyncssh.SSHKey, tmp_path: Path
) -> None:
    other = write_pair(tmp_path, "id", asyncssh.generate_private_key("ssh-ed25519"))
    port = await listen(host_key, authorized_client_keys=str(other.public))

    async with SshClient(keys) as client:
        with pytest.raises(AuthenticationError) as caught:
            await client.connect(target_of(port, host_keys=(public_of(host_key),)))

    assert keys.fingerprint in str(caught.value)
    assert "login 'tester'" in str(caught.value)


async def test_nothing_of_the_users_own_configuration_counts(
    listen: Listen,
    keys: ClientKeys,
    host_key: asyncssh.SSHKey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("Host *\n  Port 1\n  User nobody\n")
    (tmp_path / ".ssh" / "known_hosts").write_text("no known hosts line\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    target = target_of(await listen(host_key), host_keys=(public_of(host_key),))

    async with SshClient(keys) as client:
        assert (await client.run(target, "true")).ok


async def test_a_refused_connection_says_so(closed_port: int, keys: ClientKeys) -> None:
    target = target_of(closed_port, policy=HostKeyPolicy.TOFU)

    async with SshClient(keys) as client:
        with pytest.raises(UnreachableError, match="Connection refused"):
            await client.connect(target)
        result = await client.run(target, "true")

    assert result.status is None
    assert "Connection refused" in result.error


async def test_a_silent_port_costs_the_connect_timeout_and_no_cpu(
    silent_port: int, keys: ClientKeys
) -> None:
    target = target_of(silent_port, policy=HostKeyPolicy.TOFU)

    async with SshClient(keys, connect_timeout=0.4) as client:
        started, cpu = time.monotonic(), time.process_time()
        with pytest.raises(UnreachableError, match=r"no SSH banner within 0.4 s"):
            await client.connect(target)

    assert 0.4 <= time.monotonic() - started < 1.5
    assert time.process_time() - cpu < 0.1


async def test_silent_ports_do_not_keep_others_from_their_handshake(
    silent_port: int, listen: Listen, keys: ClientKeys, host_key: asyncssh.SSHKey
) -> None:
    silent = target_of(silent_port, policy=HostKeyPolicy.TOFU)
    alive = target_of(await listen(host_key), policy=HostKeyPolicy.TOFU)

    async with SshClient(keys, handshakes=1) as client, asyncio.TaskGroup() as group:
        waiting = [group.create_task(client.connect(silent)) for _ in range(10)]
        assert (await client.run(alive, "true")).ok
        for task in waiting:
            task.cancel()


async def test_half_a_banner_costs_the_login_timeout_and_no_cpu(
    keys: ClientKeys,
) -> None:
    async def stutter(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2")
        await writer.drain()
        await ended.wait()
        writer.close()

    ended = asyncio.Event()
    server = await asyncio.start_server(stutter, "127.0.0.1", 0)
    target = target_of(server.sockets[0].getsockname()[1], policy=HostKeyPolicy.TOFU)
    async with server, SshClient(keys, login_timeout=0.4) as client:
        cpu = time.process_time()
        with pytest.raises(UnreachableError, match=r"no login within 0.4 s"):
            await client.connect(target)
        ended.set()

    assert time.process_time() - cpu < 0.15


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-1.5-x\r\n"]
)
async def test_what_is_no_ssh_server_is_unreachable(
    said: bytes, keys: ClientKeys
) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    target = target_of(server.sockets[0].getsockname()[1], policy=HostKeyPolicy.TOFU)
    async with server, SshClient(keys) as client:
        with pytest.raises(UnreachableError):
            await client.connect(target)


async def test_a_host_name_leads_to_the_first_address_that_answers(
    listen: Listen, keys: ClientKeys, host_key: asyncssh.SSHKey
) -> None:
    port = await listen(host_key)
    target = target_of(port, address="localhost", policy=HostKeyPolicy.TOFU)

    async with SshClient(keys) as client:
        assert (await client.run(target, "true")).ok


async def test_an_unknown_host_name_is_unreachable(keys: ClientKeys) -> None:
    target = target_of(22, address="no-such-host.invalid", policy=HostKeyPolicy.TOFU)

    async with SshClient(keys) as client:
        with pytest.raises(UnreachableError, match=r"no-such-host.invalid"):
            await client.connect(target)


async def test_too_few_file_descriptors_are_a_clear_error(keys: ClientKeys) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, hard))
    try:
        with pytest.raises(SshError, match=r"of 40 file descriptors.*ulimit -n"):
            async with SshClient(keys):
                pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_command_returns_its_status_and_both_streams(
    start_nodes: StartNodes, keys: ClientKeys
) -> None:
    [node] = await start_nodes()
    target = node.target()

    async with SshClient(keys) as client:
        failed = await client.run(target, "echo out; echo err >&2; exit 3")
        odd = await client.run(target, "printf 'caf\\351'")
        echoed = await client.run(target, "cat", stdin="typed\n" * 10_000)
        empty = await client.run(target, "cat")

    assert (failed.status, failed.stdout, failed.stderr) == (3, "out\n", "err\n")
    assert not failed.ok
    assert odd.stdout == "caf\N{REPLACEMENT CHARACTER}"
    assert echoed.stdout == "typed\n" * 10_000
    assert (empty.status, empty.stdout) == (0, "")


async def test_a_command_that_is_cut_off_says_why_and_keeps_what_it_wrote(
    start_nodes: StartNodes, keys: ClientKeys
) -> None:
    [node] = await start_nodes()

    async with SshClient(keys) as client:
        slow = await client.run(node.target(), "echo begun; exec sleep 9", timeout=0.5)
        killed = await client.run(node.target(), "kill -KILL $$")

    assert (slow.status, slow.stdout, slow.error) == (
        None,
        "begun\n",
        "cut off after 0.5 s",
    )
    assert (killed.status, killed.error) == (None, "ended by signal KILL")


async def test_a_connection_that_breaks_under_a_command_is_a_value(
    start_nodes: StartNodes, keys: ClientKeys
) -> None:
    [node] = await start_nodes(drop_on_reload=True)

    async with SshClient(keys) as client:
        result = await client.run(
            node.target(), "echo begun; kill -HUP $AIOEC_SSHD_PID; sleep 1"
        )

    assert result.status is None
    assert "lost" in result.error


async def test_the_transport_serves_one_event_loop_after_another(
    listen: Listen, user_key: KeyFiles, host_key: asyncssh.SSHKey
) -> None:
    target = target_of(await listen(host_key), policy=HostKeyPolicy.TOFU)
    transport = SshTransport(user_key.public, user_key.private)

    def elsewhere() -> Any:
        return asyncio.run(transport.run(target, "true"))

    first = await asyncio.to_thread(elsewhere)
    second = await asyncio.to_thread(elsewhere)
    async with transport.opened(), transport.opened():
        third = await transport.run(target, "true")

    assert first.ok
    assert second.ok
    assert third.ok


async def test_a_connection_outlives_the_client_that_made_it(
    listen: Listen, user_key: KeyFiles, host_key: asyncssh.SSHKey
) -> None:
    target = target_of(await listen(host_key), policy=HostKeyPolicy.TOFU)

    async with await SshTransport(user_key.public, user_key.private).connect(
        target
    ) as connection:
        answer = await connection.run("hostname")

    assert answer.stdout == "ran hostname\n"


async def test_commands_are_not_logged_unless_asked_for(
    listen: Listen,
    keys: ClientKeys,
    host_key: asyncssh.SSHKey,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    target = target_of(await listen(host_key), policy=HostKeyPolicy.TOFU)

    async with SshClient(keys) as client:
        await client.run(target, "echo secret")

    assert "secret" not in caplog.text
