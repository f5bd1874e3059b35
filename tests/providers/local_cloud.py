"""Tools for tests of the local cloud: orders, the real OpenSSH client, leftovers."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import asyncssh

from aioelasticluster.model.records import NodeSpec
from aioelasticluster.model.tags import Tags
from aioelasticluster.providers.base import Instance, InstanceState, LaunchOrder
from aioelasticluster.providers.local import LocalCloudProvider

#: How long (seconds) an instance may take to boot or to end here.
PATIENCE = 20.0


@dataclass
class LocalCloud:
    """A provider with a key pair and a cluster, as one test uses them."""

    folder: Path
    provider: LocalCloudProvider
    cluster_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        key = asyncssh.generate_private_key("ssh-ed25519")
        self.public_key = key.export_public_key().decode()
        self.key = self.folder / "id_ed25519"
        if not self.key.exists():
            self.key.touch(mode=0o600)
        self.key.write_bytes(key.export_private_key())
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / "state"

    def order(self, *names: str, user_data: str = "", **changes: Any) -> LaunchOrder:
        """Return an order for nodes of these names."""
        token = uuid.uuid4().hex
        spec = NodeSpec(
            kind="compute",
            image_id="any",
            image_user="debian",
            flavor="any",
            security_group="any",
        )
        tags = Tags(
            cluster_id=self.cluster_id,
            cluster="demo",
            repository="memory-1",
            owner="somebody",
            token=token,
            kind="compute",
            names=names,
            login="debian",
        )
        facts: dict[str, Any] = {
            "token": token,
            "spec": spec,
            "tags": tags,
            "user_data": user_data or self.user_data(),
            "public_key": self.public_key,
        }
        return LaunchOrder(**(facts | changes))

    def user_data(self, more: str = "") -> str:
        """Return cloud-config that injects the host key, and more."""
        private = self.host_key.export_private_key().decode()
        public = self.host_key.export_public_key().decode()
        lines = "".join(f"    {line}\n" for line in private.splitlines())
        return (
            f"#cloud-config\nssh_keys:\n  ed25519_private: |\n{lines}"
            f"  ed25519_public: {public}{more}"
        )

    async def launch(self, *names: str, user_data: str = "") -> list[Instance]:
        """Launch nodes and wait until they run."""
        order = self.order(*(names or ("compute001",)), user_data=user_data)
        launched = await self.provider.launch(order)
        return await self.running([instance.id for instance in launched.instances])

    async def running(self, ids: Sequence[str]) -> list[Instance]:
        """Wait until some instances run, and return them."""
        with anyio.fail_after(PATIENCE):
            while True:
                found = await self.described(*ids)
                states = [instance.state for instance in found]
                assert InstanceState.FAILED not in states, found
                if states == [InstanceState.RUNNING] * len(ids):
                    return found
                await anyio.sleep(0.02)

    async def described(self, *ids: str) -> list[Instance]:
        """Return what the cloud says of some instances, in the order of their index."""
        found = await self.provider.describe(self.cluster_id, ids)
        return sorted(
            (instance for instance in found if instance.id in ids),
            key=lambda instance: instance.index,
        )

    async def gone(self, *ids: str) -> None:
        """Wait until instances are not described any more."""
        while await self.described(*ids):  # noqa: ASYNC110  only the cloud knows
            await anyio.sleep(0.01)

    async def end(self) -> None:
        """Terminate all that lives in the folder, and wait for it."""
        with anyio.fail_after(PATIENCE):
            while found := await self.provider.find():
                await self.provider.terminate([instance.id for instance in found])
                await anyio.sleep(0.01)

    # -- the real OpenSSH client

    def ssh_options(self, instance: Instance) -> list[str]:
        """Return options for ssh, sftp and scp; the host key is checked."""
        known = self.folder / "known_hosts"
        public = self.host_key.export_public_key().decode()
        known.write_text(f"node {public}")
        return [
            "-F/dev/null",
            f"-i{self.key}",
            f"-oUserKnownHostsFile={known}",
            "-oHostKeyAlias=node",
            "-oStrictHostKeyChecking=yes",
            "-oIdentitiesOnly=yes",
            "-oBatchMode=yes",
            f"-oPort={instance.ssh_port}",
        ]

    async def ssh(
        self, instance: Instance, *command: str, options: Sequence[str] = (), **kw: Any
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the real ssh client and return how it ended."""
        line = ["ssh", *self.ssh_options(instance), *options]
        line += [f"anybody@{instance.addresses[0]}", *command]
        with anyio.fail_after(PATIENCE):
            return await anyio.run_process(line, check=False, **kw)

    async def text(self, instance: Instance, command: str) -> str:
        """Run a command over ssh and return what it prints."""
        done = await self.ssh(instance, command)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()


async def eventually(fact: Callable[[], object]) -> None:
    """Wait until something that can only be looked at has become true."""
    with anyio.fail_after(PATIENCE):
        while not fact():  # noqa: ASYNC110  another process's doing
            await anyio.sleep(0.01)


def processes_of(state: Path) -> list[int]:
    """Return the processes that belong to a state folder: parent, servers, sessions."""
    needle, found = os.fsencode(state) + b"/", []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            stat = (entry / "stat").read_bytes().rpartition(b")")[2].split()
            line = (entry / "cmdline").read_bytes()
            known = line.replace(b"\0", b"/") + (entry / "environ").read_bytes()
        except OSError:
            continue
        if stat[0] != b"Z" and needle in known:
            found.append(int(entry.name))
    return found


def runs(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        return process_state(pid) not in "ZX"
    except FileNotFoundError:
        return False


def process_state(pid: int) -> str:
    """Return the letter by which the kernel tells a process's state."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def left_behind(state: Path) -> None:
    """End what is left of a local cloud, and fail if there was anything."""
    deadline = time.monotonic() + 5.0
    while (left := processes_of(state)) and time.monotonic() < deadline:
        time.sleep(0.02)
    while remaining := processes_of(state):
        for pid in remaining:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)
    assert not left, f"processes {left} were left behind"
    names = [path.name for path in state.iterdir()] if state.exists() else []
    assert not names, f"files {names} were left behind"


@asynccontextmanager
async def ssh_connection(
    cloud: LocalCloud, instance: Instance
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """Connect with asyncssh, the host key checked."""
    key = cloud.host_key.convert_to_public()
    async with asyncssh.connect(
        instance.addresses[0],
        instance.ssh_port,
        username="debian",
        client_keys=[str(cloud.key)],
        known_hosts=([key], [], []),
        config=None,
    ) as connection:
        yield connection
