"""Key pairs, servers and targets for the SSH tests."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from aioelasticluster.ssh.base import HostKeyPolicy, SshTarget
from aioelasticluster.ssh.host_keys import HostKey, generate_host_key
from aioelasticluster.ssh.keys import ClientKeys, load_client_keys

#: A ProxyCommand, as netcat would be one; it also has something to complain about.
RELAY = """
import os, select, socket, sys
there = socket.create_connection((sys.argv[1], int(sys.argv[2])))
print('relaying', file=sys.stderr, flush=True)
ends = {0: there.fileno(), there.fileno(): 1}
while True:
    for end in select.select(list(ends), [], [])[0]:
        data = os.read(end, 65536)
        if not data:
            sys.exit()
        os.write(ends[end], data)
"""

SERVER = Path(__file__).with_name("sshd.py")


@dataclass(frozen=True)
class KeyFiles:
    """A key pair on disk."""

    private: Path
    public: Path


def write_pair(folder: Path, name: str, key: asyncssh.SSHKey, **how: Any) -> KeyFiles:
    """Write a key pair as ssh-keygen does."""
    pair = KeyFiles(folder / name, folder / f"{name}.pub")
    pair.private.write_bytes(key.export_private_key(**how))
    pair.private.chmod(0o600)
    pair.public.write_bytes(key.export_public_key())
    return pair


@pytest.fixture(scope="session")
def user_key(tmp_path_factory: pytest.TempPathFactory) -> KeyFiles:
    folder = tmp_path_factory.mktemp("user")
    key = asyncssh.generate_private_key("ssh-ed25519", comment="user@laptop")
    return write_pair(folder, "id_ed25519", key)


@pytest.fixture
async def keys(user_key: KeyFiles) -> ClientKeys:
    return await load_client_keys(user_key.public, user_key.private)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A real ssh-agent of this test's own, which holds nothing yet."""
    path = str(tmp_path / "agent")
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()  # printed when the socket listens
    monkeypatch.setenv("SSH_AUTH_SOCK", path)
    yield path
    process.terminate()
    process.wait()
    process.stdout.close()


@pytest.fixture
def relay(tmp_path: Path) -> str:
    (tmp_path / "relay.py").write_text(RELAY)
    return f"{sys.executable} {tmp_path / 'relay.py'} %h %p"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir()
    return tmp_path


@dataclass
class Node:
    """One listener of a server process."""

    port: int
    key_file: Path
    batch: HostKey
    server: asyncio.subprocess.Process

    def target(self, **changes: Any) -> SshTarget:
        """Return how to reach it as a node fresh from its batch."""
        return target_of(
            self.port,
            **{
                "host_keys": (self.batch.public,),
                "rotate_from": self.batch.public,
                **changes,
            },
        )

    def reload(self) -> None:
        """Have the server read its keys again, as a reboot does."""
        self.server.send_signal(signal.SIGHUP)


def target_of(port: int, **changes: Any) -> SshTarget:
    """Return a target on loopback."""
    facts: dict[str, Any] = {
        "node": "compute001",
        "alias": "compute001.c1",
        "address": "127.0.0.1",
        "port": port,
        "login": "tester",
        "policy": HostKeyPolicy.INJECTED,
    }
    return SshTarget(**{**facts, **changes})


StartNodes = Callable[..., Awaitable[list[Node]]]


@pytest.fixture
async def start_nodes(tmp_path: Path, user_key: KeyFiles) -> AsyncIterator[StartNodes]:
    """Start nodes in a server process of their own: `await start_nodes(2, …)`."""
    async with AsyncExitStack() as stack:

        async def start(count: int = 1, **plan: Any) -> list[Node]:
            folder = tmp_path / f"server{os.urandom(4).hex()}"
            return await stack.enter_async_context(
                serving(folder, count, user_key.public, plan)
            )

        yield start


@asynccontextmanager
async def serving(
    folder: Path, count: int, authorized: Path, plan: dict[str, Any]
) -> AsyncIterator[list[Node]]:
    batch = generate_host_key()
    key_files = [folder / f"etc{number}" / "key" for number in range(count)]
    for key_file in key_files:
        key_file.parent.mkdir(parents=True)
        key_file.write_text(batch.private_openssh)
        key_file.chmod(0o600)
    names = [str(key_file) for key_file in key_files]
    whole = {"authorized_keys": str(authorized), "key_files": names, **plan}
    (folder / "plan.json").write_text(json.dumps(whole))
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SERVER), str(folder / "plan.json")),
        stdout=asyncio.subprocess.PIPE,
    )
    assert server.stdout is not None
    try:
        ports = json.loads(await server.stdout.readline())
        yield [
            Node(port, key_file, batch, server)
            for port, key_file in zip(ports, key_files, strict=True)
        ]
    finally:
        server.terminate()
        await server.wait()


class Accepting(asyncssh.SSHServer):
    """Lets the test's users in, and forwards for them."""

    def connection_requested(self, *_: object) -> bool:
        return True


Listen = Callable[..., Awaitable[int]]


@pytest.fixture
async def listen(user_key: KeyFiles) -> AsyncIterator[Listen]:
    """Start servers in the test's own loop: `port = await listen(host_key, …)`."""
    acceptors: list[asyncssh.SSHAcceptor] = []

    async def start(*host_keys: Any, **options: Any) -> int:
        # Without a `gss_host` asyncssh asks the network for this machine's name.
        options = {"gss_host": None, **options}
        options.setdefault("authorized_client_keys", str(user_key.public))
        options.setdefault("server_factory", Accepting)
        options.setdefault("process_factory", _answer)
        acceptor = await asyncssh.listen(
            "127.0.0.1", 0, server_host_keys=list(host_keys), **options
        )
        acceptors.append(acceptor)
        return acceptor.get_port()

    yield start
    for acceptor in acceptors:
        acceptor.close()
        await acceptor.wait_closed()


def _answer(process: asyncssh.SSHServerProcess[str]) -> None:
    process.stdout.write(f"ran {process.command}\n")
    process.exit(0)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def public_of(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key().decode().split()[:2])
