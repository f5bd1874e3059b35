"""Real SSH servers of instances: a program that opens and closes them on demand.

It reads one JSON object a line, answers each with one, and ends with its input. An
instance listens at its own address, with its own host key, home and processes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import asyncssh

from aioelasticluster.providers.local.environment import Place, shell
from aioelasticluster.providers.local.layout import InstanceFolder
from aioelasticluster.providers.local.server.children import Children, Ended
from aioelasticluster.providers.local.server.host_key import HostKey
from aioelasticluster.providers.local.server.instance import Server
from aioelasticluster.providers.local.server.processes import running, send
from aioelasticluster.providers.local.server.session import Session, SftpServer

#: How many connections may wait to be accepted.
_BACKLOG = 128

#: How long (seconds) killed processes may take to vanish.
_PATIENCE = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOrder:
    """What an instance is to be. `addresses` may change while it runs."""

    id: str
    name: str
    addresses: tuple[str, ...]
    port: int
    host_key: str
    authorized_keys: tuple[str, ...]


@lru_cache(maxsize=256)
def _private(text: str) -> asyncssh.SSHKey:
    """Return a host key; whole batches have the same one."""
    return asyncssh.import_private_key(text)


@lru_cache(maxsize=256)
def _authorized(lines: tuple[str, ...]) -> asyncssh.SSHAuthorizedKeys:
    if not lines:  # asyncssh would not read an empty list
        return asyncssh.SSHAuthorizedKeys()
    return asyncssh.import_authorized_keys("\n".join(lines))


class HostChildren(Children):
    """The processes of one host; one place of the program waits for all hosts'."""

    def __init__(self, all_hosts: Children, place: Place) -> None:
        super().__init__(place.folder.home, place.environment(os.environ))
        self._waiting = all_hosts._waiting
        self.pids: set[int] = set()

    def start(
        self, arguments: Sequence[str], ended: Ended, **options: Any
    ) -> subprocess.Popen[bytes]:
        """Start a process that ends with the host."""

        def forgotten(code: int) -> None:
            self.pids.discard(process.pid)
            ended(code)

        process = super().start(arguments, forgotten, **options)
        self.pids.add(process.pid)
        return process


@dataclass(slots=True)
class Host:
    """One instance's server. Its folder is made when somebody first logs in."""

    order: HostOrder
    folder: InstanceFolder
    reaper: Children
    acceptors: dict[str, asyncssh.SSHAcceptor] = field(default_factory=dict)
    connections: set[asyncssh.SSHServerConnection] = field(default_factory=set)
    children: HostChildren | None = None
    shown: int = 0

    async def listen(self, order: HostOrder) -> None:
        """Serve at the addresses of an order, and at no others."""
        self.order = order
        for address in self.acceptors.keys() - set(order.addresses):
            self.acceptors.pop(address).close()
        for address in order.addresses:
            if address not in self.acceptors:
                self.acceptors[address] = await self._listening(address)

    async def _listening(self, address: str) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            address,
            self.order.port,
            backlog=_BACKLOG,
            server_factory=lambda: HostServer(self),
            server_host_keys=self._host_keys(),
            authorized_client_keys=_authorized(self.order.authorized_keys),
            encoding=None,
            line_editor=False,
            agent_forwarding=False,
            x11_forwarding=False,
            password_auth=False,
            kbdint_auth=False,
            host_based_auth=False,
            gss_host=None,  # else asyncssh asks the network for this machine's name
        )

    def _host_keys(self) -> list[object]:
        """Return the key on its disk if it has one already, else the first one."""
        if self.folder.host_key.exists():
            return HostKey(self.folder.host_key).loaded()
        return [_private(self.order.host_key)]

    def processes(self) -> HostChildren:
        """Return who starts its processes; the disk is made by then."""
        if self.children is None:
            place = Place(
                self.order.name, self.folder, self.order.addresses[0], self.order.port
            )
            self._make_disk()
            self.children = HostChildren(self.reaper, place)
        return self.children

    def _make_disk(self) -> None:
        for path in (self.folder.home, self.folder.temporary):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.folder.host_key.exists():
            key = HostKey(self.folder.host_key)
            key.install(self.order.host_key)
            key.loaded()
            key.announce()
        self.shown = self._key_written()

    def _key_written(self) -> int:
        return self.folder.host_key.stat().st_mtime_ns

    def reload(self) -> None:
        """Show new connections the key on the disk, if it is another one."""
        if self.children is None or self.shown == self._key_written():
            return
        key = HostKey(self.folder.host_key)
        self.shown = self._key_written()
        for acceptor in self.acceptors.values():
            acceptor.update(server_host_keys=key.loaded())
        key.announce()

    def close(self) -> None:
        """Be gone at once, as a machine without power is."""
        for acceptor in self.acceptors.values():
            acceptor.close()
        for connection in list(self.connections):
            connection.abort()
        if self.children is not None:
            for pid in list(self.children.pids):
                _kill_group(pid)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class HostFiles(SftpServer):
    """The files as a host's users name them: relative to its home."""

    def __init__(self, channel: Any, home: Path) -> None:
        super().__init__(channel)
        self._home = os.fsencode(home)

    def map_path(self, path: bytes) -> bytes:
        """Return where a file is in this process's eyes."""
        return os.path.join(self._home, path)


class HostSession(Session):
    """A session on a host."""

    def __init__(self, children: Children) -> None:
        super().__init__(shell(), children)
        self._sftp_factory = lambda channel: HostFiles(channel, children.home)


class HostServer(Server):
    """One connection to a host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._host.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._host.connections.discard(self._connection)

    def session_requested(self) -> Session:
        return HostSession(self._host.processes())


class Hosts:
    """All hosts of this process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hosts: dict[str, Host] = {}
        self._reaper = Children(folder, {})

    def watch(self) -> None:
        """Begin to hear of signals, on the running loop."""
        self._reaper.watch()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)

    def _reload(self) -> None:
        for host in self._hosts.values():
            if host.connections:
                host.reload()

    async def obey(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Close some hosts, open others or give them other addresses."""
        await self._close(message.get("close", ()), message.get("wipe", ()))
        faults = {}
        for given in message.get("open", ()):
            order = _order(given)
            try:
                await self._open(order)
            except (OSError, ValueError) as fault:
                faults[order.id] = str(fault)
        return {"faults": faults, "cpu": _cpu()}

    async def _open(self, order: HostOrder) -> None:
        if order.id not in self._hosts:
            folder = InstanceFolder(self._folder / order.id)
            self._hosts[order.id] = Host(order, folder, self._reaper)
        await self._hosts[order.id].listen(order)

    async def _close(self, ids: Sequence[str], wiped: Sequence[str]) -> None:
        closed = [self._hosts.pop(one) for one in ids if one in self._hosts]
        for host in closed:
            host.close()
        used = {host.order.id for host in closed if host.children is not None}
        if used:
            _kill_marked(used)
        await asyncio.to_thread(self._wipe, wiped)

    def _wipe(self, ids: Sequence[str]) -> None:
        for one in ids:
            shutil.rmtree(self._folder / one, ignore_errors=True)

    async def end(self) -> None:
        """Close all."""
        await self._close(list(self._hosts), [])


def _order(given: Mapping[str, Any]) -> HostOrder:
    lists = {name: tuple(given[name]) for name in ("addresses", "authorized_keys")}
    return HostOrder(**{**given, **lists})


def _kill_marked(ids: set[str]) -> None:
    """Kill what has left its session but still bears its host's mark."""
    deadline = time.monotonic() + _PATIENCE
    while pids := [one.pid for one in running() if one.mark in ids]:
        send(pids, signal.SIGKILL)
        if time.monotonic() > deadline:
            sys.stderr.write(f"processes {pids} of {sorted(ids)} do not end\n")
            return
        time.sleep(0.002)


def _cpu() -> dict[str, float]:
    """Return the seconds of processor time of this process, and of the sessions."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    sessions = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "server": own.ru_utime + own.ru_stime,
        "sessions": sessions.ru_utime + sessions.ru_stime,
    }


async def _serve(folder: Path) -> None:
    hosts = Hosts(folder)
    hosts.watch()
    reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        answer = await hosts.obey(json.loads(line))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    await hosts.end()


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(_serve(parser.parse_args().folder))


if __name__ == "__main__":
    main()
