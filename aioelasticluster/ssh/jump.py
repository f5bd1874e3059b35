"""The jump host: one connection that the lines to all nodes run through."""

from __future__ import annotations

import asyncio
import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING

from aioelasticluster._aio.blocking import Blocking
from aioelasticluster._aio.finish import finish
from aioelasticluster.errors import ConfigurationError, SshError
from aioelasticluster.ssh.base import SshTarget
from aioelasticluster.ssh.keys import ClientKeys
from aioelasticluster.ssh.line import DirectRoute, Line
from aioelasticluster.ssh.login import CLOSING_PATIENCE, Handshake, log_in
from aioelasticluster.ssh.proxy import JumpHost

if TYPE_CHECKING:
    import asyncssh

#: Seconds between signs of life, so that a firewall keeps an idle way open.
KEEPALIVE = 30.0

_files = Blocking(width=2, patience=30.0)


class JumpRoute:
    """Tunnels through one SSH connection, opened by the first line that needs it.

    Unlike a node, the jump host is the user's own: their known_hosts says which key
    it shows, and their agent may help with the login.
    """

    def __init__(
        self, jump: JumpHost, keys: ClientKeys, patience: float, login_patience: float
    ) -> None:
        self._keys, self._login_patience = keys, login_patience
        self._direct = DirectRoute(patience)
        self._target = SshTarget(
            node="jump host",
            alias=jump.host,
            address=jump.host,
            port=jump.port,
            login=jump.login or getpass.getuser(),
        )
        self._lock = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._failure: tuple[float, SshError] | None = None
        self._lines = 0
        self._closing = False

    async def open(self, target: SshTarget) -> Line:
        """Return a tunnel; the way from there on is opened by the handshake."""
        connection = await self._connected()
        self._lines += 1
        return Line(tunnel=connection, release=self._release)

    async def _connected(self) -> asyncssh.SSHClientConnection:
        clock = asyncio.get_running_loop().time
        asked = clock()
        async with self._lock:
            if self._failure is not None and self._failure[0] >= asked:
                # Whoever waited for an attempt shares its outcome: a hundred nodes
                # must not knock at a dead jump host one after another.
                error = self._failure[1]
                raise type(error)(str(error)) from error
            if self._connection is None or self._connection.is_closed():
                try:
                    self._connection = await self._open()
                except SshError as error:
                    self._failure = (clock(), error)
                    raise
            return self._connection

    async def _open(self) -> asyncssh.SSHClientConnection:
        known_hosts = await _files(_read_known_hosts)
        handshake = Handshake(
            target=self._target,
            line=await self._direct.open(self._target),
            expected="one of your known_hosts: connect to it once with `ssh`",
            trusts=lambda key: False,
            known_hosts=known_hosts,
        )
        return await log_in(
            handshake,
            self._keys,
            timeout=self._login_patience,
            other_agent=os.environ.get("SSH_AUTH_SOCK", ""),
            keepalive=KEEPALIVE,
        )

    def _release(self) -> None:
        self._lines -= 1
        if self._closing and not self._lines and self._connection is not None:
            self._connection.abort()

    async def aclose(self) -> None:
        """Close the connection, or let the last line that is still in use close it."""
        self._closing = True
        if self._connection is not None and not self._lines:
            self._connection.abort()
            gone = self._connection.wait_closed()
            await finish(gone, patience=CLOSING_PATIENCE)


def _read_known_hosts() -> asyncssh.SSHKnownHosts:
    """Read the known_hosts that OpenSSH reads; files that are not there are empty."""
    import asyncssh

    own = Path("~/.ssh/known_hosts").expanduser()
    paths = [path for path in (own, Path("/etc/ssh/ssh_known_hosts")) if path.is_file()]
    try:
        return asyncssh.read_known_hosts([str(path) for path in paths])
    except (OSError, ValueError) as fault:
        raise ConfigurationError(
            "ssh_proxy",
            ", ".join(map(str, paths)),
            f"known_hosts, which vouches for the jump host, cannot be read: {fault}",
            "Mend the file",
        ) from fault
