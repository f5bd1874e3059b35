"""OpenSSH agrees: its client with what we write, its server with what we do."""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import signal
import socket
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import asyncssh
import pytest

from aioelasticluster._aio.polling import backoff, poll
from aioelasticluster.errors import ConfigurationError, HostKeyError
from aioelasticluster.ssh.base import HostKeyPolicy, SshTarget
from aioelasticluster.ssh.config import ssh_config_text
from aioelasticluster.ssh.connect import SshClient
from aioelasticluster.ssh.host_keys import (
    HostKey,
    fingerprint,
    generate_host_key,
    known_hosts_text,
    write_known_hosts,
)
from aioelasticluster.ssh.keys import ClientKeys, load_client_keys
from aioelasticluster.ssh.probe import probe
from tests.ssh.conftest import (
    KeyFiles,
    Listen,
    StartNodes,
    public_of,
    target_of,
    write_pair,
)

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
UNPREPARED = os.getuid() == 0 and not Path("/run/sshd").is_dir()


async def ssh(config: Path, host: str, *command: str) -> tuple[int, str, str]:
    """Run OpenSSH's client with a configuration and nothing else."""
    process = await asyncio.create_subprocess_exec(
        *("ssh", "-F", str(config), "-o", "BatchMode=yes", host, *command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    stdout, stderr = await process.communicate()
    assert process.returncode is not None
    return process.returncode, stdout.decode(), stderr.decode()


async def written(
    folder: Path, target: SshTarget, keys: ClientKeys, **how: str
) -> Path:
    """Write known_hosts and a configuration, as `ssh_config()` users do."""
    known_hosts, config = folder / "known hosts 100%", folder / "ssh_config"
    await write_known_hosts(known_hosts, [target])
    config.write_text(
        ssh_config_text(
            [target], keys.private_path or keys.public_path, known_hosts, **how
        )
    )
    return config


def test_a_generated_host_key_is_what_ssh_keygen_reads(tmp_path: Path) -> None:
    key = generate_host_key()

    read = asyncssh.import_private_key(key.private_openssh)

    assert public_of(read) == key.public
    assert key.public.startswith("ssh-ed25519 ")
    assert fingerprint(key.public) == read.get_fingerprint()
    assert key.private_openssh.splitlines()[1] not in repr(key)


def test_what_is_no_public_key_has_no_fingerprint() -> None:
    for text in ("", "ssh-ed25519", "ssh-ed25519 !!!"):
        with pytest.raises(ConfigurationError, match="not a public key"):
            fingerprint(text)


async def test_known_hosts_is_private_keyed_by_alias_and_replaced_in_one_step(
    tmp_path: Path,
) -> None:
    path = tmp_path / "known_hosts"
    path.write_text("old")
    path.chmod(0o644)
    keys = (generate_host_key().public, generate_host_key().public)
    certified = target_of(
        22, alias="b.c1", policy=HostKeyPolicy.CA, host_ca=f"{keys[0]} comment"
    )

    await write_known_hosts(path, [target_of(22, host_keys=keys), certified])

    assert path.read_text().splitlines() == [
        f"compute001.c1 {keys[0]}",
        f"compute001.c1 {keys[1]}",
        f"@cert-authority b.c1 {keys[0]}",
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["known_hosts"]


async def test_the_ssh_client_reaches_a_node_by_each_of_its_names(
    start_nodes: StartNodes, keys: ClientKeys, tmp_path: Path
) -> None:
    [node] = await start_nodes()
    config = await written(tmp_path, node.target(), keys, cluster="demo")

    for name in ("compute001", "demo-compute001"):
        status, stdout, stderr = await ssh(config, name, "echo", "reached")
        assert (status, stdout) == (0, "reached\n"), stderr


async def test_the_ssh_client_finds_the_key_that_the_agent_holds(
    agent: str, start_nodes: StartNodes, user_key: KeyFiles, tmp_path: Path
) -> None:
    [node] = await start_nodes()
    add = await asyncio.create_subprocess_exec("ssh-add", "-q", str(user_key.private))
    assert await add.wait() == 0
    public = tmp_path / "alone.pub"
    public.write_text(user_key.public.read_text())
    config = await written(
        tmp_path, node.target(), await load_client_keys(public, None)
    )

    status, stdout, stderr = await ssh(config, "compute001", "echo", "reached")

    assert (status, stdout) == (0, "reached\n"), stderr


async def test_the_ssh_client_refuses_another_host_key(
    start_nodes: StartNodes, keys: ClientKeys, tmp_path: Path
) -> None:
    [node] = await start_nodes()
    wrong = node.target(host_keys=(generate_host_key().public,))
    config = await written(tmp_path, wrong, keys)

    status, _, stderr = await ssh(config, "compute001", "true")

    assert status == 255
    assert "Host key verification failed" in stderr


async def test_the_ssh_client_goes_through_the_proxy_command(
    relay: str, start_nodes: StartNodes, keys: ClientKeys, tmp_path: Path
) -> None:
    [node] = await start_nodes()
    config = await written(tmp_path, node.target(), keys, proxy=relay)

    status, stdout, stderr = await ssh(config, "compute001", "echo", "reached")

    assert (status, stdout) == (0, "reached\n"), stderr


async def test_the_ssh_client_trusts_a_certified_node(
    listen: Listen, keys: ClientKeys, tmp_path: Path
) -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    certificate = authority.generate_host_certificate(
        host_key, "host", principals=["127.0.0.1"]
    )
    target = target_of(
        await listen((host_key, certificate)),
        policy=HostKeyPolicy.CA,
        host_ca=public_of(authority),
    )
    async with SshClient(keys) as client:
        reached = await probe(client, target)

    config = await written(tmp_path, replace(target, host_keys=reached.host_keys), keys)
    status, stdout, stderr = await ssh(config, "compute001", "true")

    assert (status, stdout) == (0, "ran true\n"), stderr


async def test_a_jump_host_gets_a_block_with_our_key(keys: ClientKeys) -> None:
    text = ssh_config_text(
        [target_of(22)], keys.private_path, "/known", proxy="me@[2001:db8::1]:2222"
    )

    assert "    ProxyJump me@[2001:db8::1]:2222\n" in text
    assert f'Host 2001:db8::1\n    IdentityFile "{keys.private_path}"\n' in text


@pytest.mark.parametrize(
    "changes",
    [
        {"address": "10.0.0.1\nProxyCommand evil"},
        {"address": "10.0.0.1 evil"},
        {"login": 'me"'},
        {"login": ""},
        {"node": "*"},
        {"alias": "a\tb"},
    ],
)
async def test_a_value_that_would_break_out_of_its_line_is_refused(
    changes: dict[str, str], keys: ClientKeys
) -> None:
    with pytest.raises(ConfigurationError, match=r"ssh_config|line break"):
        ssh_config_text([target_of(22, **changes)], keys.private_path, "/known")
    with pytest.raises(ConfigurationError, match="line break"):
        ssh_config_text([target_of(22)], keys.private_path, "/known", proxy="nc %h\n%p")
    with pytest.raises(ConfigurationError, match="quotes"):
        ssh_config_text([target_of(22)], keys.private_path, '/kno"wn')


@dataclass
class Sshd:
    """A real sshd of the current user, on loopback."""

    port: int
    key_file: Path
    batch: HostKey
    process: asyncio.subprocess.Process

    def target(self) -> SshTarget:
        return target_of(
            self.port,
            login=getpass.getuser(),
            host_keys=(self.batch.public,),
            rotate_from=self.batch.public,
        )


@pytest.fixture
async def sshd(tmp_path: Path, user_key: KeyFiles) -> AsyncIterator[Sshd]:
    if SSHD is None:
        pytest.skip("OpenSSH's server is not installed")
    if UNPREPARED:
        pytest.skip("sshd as root needs /run/sshd, which its service makes")
    batch, key_file = generate_host_key(), tmp_path / "ssh_host_ed25519_key"
    key_file.write_text(batch.private_openssh)
    key_file.chmod(0o600)
    authorized = tmp_path / "authorized_keys"
    authorized.write_text(user_key.public.read_text())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    # Its own process id belongs into its configuration: so it waits before it reads.
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", f"read go; exec {SSHD} -D -e -f {tmp_path}/sshd_config"),
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    (tmp_path / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\n"
        f"HostKey {key_file}\n"
        f"PidFile {tmp_path}/sshd.pid\n"
        f"AuthorizedKeysFile {authorized}\n"
        "StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\n"
        f"SetEnv AIOEC_HOST_KEY_FILE={key_file} AIOEC_SSHD_PID={process.pid}\n"
    )
    assert process.stdin is not None
    process.stdin.write(b"go\n")

    async def listening() -> bool | None:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return None
        writer.close()
        return True

    try:
        async with asyncio.timeout(10):
            await poll(listening, pauses=backoff(0.01, 0.1))
        yield Sshd(port, key_file, batch, process)
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


@pytest.mark.sshd
async def test_a_real_sshd_rotates_and_at_once_shows_the_new_key_only(
    sshd: Sshd, keys: ClientKeys
) -> None:
    accepted: list[tuple[str, ...]] = []

    async def accept(fresh: tuple[str, ...]) -> None:
        accepted.append(fresh)

    async with SshClient(keys) as client:
        reached = await probe(client, sshd.target(), accept)
        assert reached.unrotated == ""
        assert accepted == [(sshd.batch.public, *reached.host_keys)]
        rotated = replace(sshd.target(), host_keys=reached.host_keys)
        # A reloading sshd refuses connections for a moment: that has passed by now.
        results = await asyncio.gather(
            *(client.run(rotated, "id -un") for _ in range(5))
        )
        with pytest.raises(HostKeyError):
            await probe(client, sshd.target())

    assert [result.stdout.strip() for result in results] == [getpass.getuser()] * 5


@pytest.mark.sshd
@pytest.mark.parametrize("kind", ["ssh-rsa", "ecdsa-sha2-nistp256"])
async def test_a_real_sshd_takes_each_type_of_key(
    kind: str, sshd: Sshd, tmp_path: Path
) -> None:
    # RSA passes only with SHA-2 signatures: an sshd of today refuses SHA-1.
    pair = write_pair(tmp_path, "id", asyncssh.generate_private_key(kind))
    (tmp_path / "authorized_keys").write_text(pair.public.read_text())

    async with SshClient(await load_client_keys(pair.public, pair.private)) as client:
        result = await client.run(sshd.target(), "cat", stdin="hello")

    assert (result.status, result.stdout) == (0, "hello"), result.error


@pytest.mark.sshd
async def test_a_real_sshd_ends_a_command_by_signal(
    sshd: Sshd, keys: ClientKeys
) -> None:
    async with SshClient(keys) as client:
        result = await client.run(sshd.target(), "kill -TERM $$")

    assert (result.status, result.error) == (None, "ended by signal TERM")


def test_known_hosts_of_nodes_without_keys_is_empty() -> None:
    assert known_hosts_text([target_of(22)]) == ""
