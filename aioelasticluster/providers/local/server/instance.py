"""An instance: it boots as its user-data says, then serves SSH until it is killed."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import asyncssh

from aioelasticluster.providers.cloud_config import BootPlan
from aioelasticluster.providers.local.environment import Place, shell
from aioelasticluster.providers.local.server.boot import Boot
from aioelasticluster.providers.local.server.children import Children
from aioelasticluster.providers.local.server.forwarding import forwarded
from aioelasticluster.providers.local.server.host_key import HostKey
from aioelasticluster.providers.local.server.journal import Journal
from aioelasticluster.providers.local.server.processes import adopt_orphans
from aioelasticluster.providers.local.server.session import Session

#: How many connections may wait to be accepted.
_BACKLOG = 128

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What the parent tells a new instance: who it is, and what goes wrong with it."""

    place: Place
    plan: BootPlan
    delay: float = 0.0
    dead: bool = False
    wrong_host_key: bool = False


def run(start: Start, listener: socket.socket) -> None:
    """Be the instance; returns only if its server cannot be kept up."""
    _leave_the_parent(start.place)
    journal = Journal(start.place.folder.log)
    journal.write("boot", node=start.place.node, pid=os.getpid())
    time.sleep(start.delay)
    if start.dead:
        _listen_in_silence(start.place, listener)
    asyncio.run(_serve(start, listener, journal))


def _leave_the_parent(place: Place) -> None:
    """Become a process of its own: session, folder, environment, garbage."""
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.umask(0o022)
    errors = os.open(place.folder.errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(errors, 1)
    os.dup2(errors, 2)
    os.close(errors)
    for path in (place.folder.home, place.folder.temporary):
        path.mkdir(mode=0o700, exist_ok=True)
    os.chdir(place.folder.home)
    environment = place.environment(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    adopt_orphans(place.node)
    gc.enable()


def _listen_in_silence(place: Place, listener: socket.socket) -> None:
    """Take connections, as the kernel does, but never say a word."""
    listener.listen(_BACKLOG)
    place.folder.up.touch()
    while True:
        signal.pause()


async def _serve(start: Start, listener: socket.socket, journal: Journal) -> None:
    """Boot, listen, run what is to be run once, and serve."""
    place = start.place
    children = Children(place.folder.home, dict(os.environ))
    children.watch()
    boot = Boot(start.plan, children, place, journal)
    await boot.before_ssh()
    host_key = HostKey(place.folder.host_key)
    if start.plan.host_key and not start.wrong_host_key:
        host_key.install(start.plan.host_key, start.plan.host_certificate)
    else:
        host_key.generate()
    acceptor = await _listening(start, listener, host_key, children)
    host_key.announce()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(
        signal.SIGHUP, _reload_host_key, host_key, acceptor, journal
    )
    place.folder.up.touch()
    journal.write("ssh-up", node=place.node, address=place.address, port=place.port)
    await boot.after_ssh()
    await acceptor.wait_closed()


async def _listening(
    start: Start, listener: socket.socket, host_key: HostKey, children: Children
) -> asyncssh.SSHAcceptor:
    """Begin to serve SSH on a socket that is bound already."""
    keys = asyncssh.import_authorized_keys("\n".join(start.plan.authorized_keys))
    path = shell()
    return await asyncssh.listen(
        sock=listener,
        backlog=_BACKLOG,
        server_factory=lambda: Server(path, children),
        server_host_keys=host_key.loaded(),
        authorized_client_keys=keys,
        encoding=None,
        line_editor=False,
        agent_forwarding=False,
        x11_forwarding=False,
        password_auth=False,
        kbdint_auth=False,
        host_based_auth=False,
        gss_host=None,
    )


def _reload_host_key(
    host_key: HostKey, acceptor: asyncssh.SSHAcceptor, journal: Journal
) -> None:
    """Show new connections the key that lies in the file now."""
    try:
        acceptor.update(server_host_keys=host_key.loaded())
        host_key.announce()
    except (OSError, ValueError) as fault:
        journal.write("host-key-kept", fault=str(fault))
    else:
        journal.write("host-key-loaded")


class Server(asyncssh.SSHServer):
    """One connection: any login with a known key; sessions and forwarding."""

    def __init__(self, path: str, children: Children) -> None:
        self._shell, self._children = path, children

    def begin_auth(self, username: str) -> bool:
        return True

    def session_requested(self) -> Session:
        return Session(self._shell, self._children)

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Coroutine[Any, Any, asyncssh.SSHTCPSession[bytes]]:
        return forwarded(dest_host, dest_port)

    def unix_connection_requested(self, dest_path: str) -> bool:
        return True

    def unix_server_requested(self, listen_path: str) -> bool:
        return True

    def server_requested(self, listen_host: str, listen_port: int) -> bool:
        # Like OpenSSH's GatewayPorts=no: nothing here listens to the network.
        return listen_host in _LOOPBACK or listen_host.startswith("127.")
