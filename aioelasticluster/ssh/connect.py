"""Verified connections to nodes, within the limits of one operation."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from anyio import Semaphore

from aioelasticluster._aio.blocking import Blocking
from aioelasticluster._aio.finish import finish
from aioelasticluster._aio.pace import Pace
from aioelasticluster.errors import HostKeyError, SshError
from aioelasticluster.model.reports import RunResult
from aioelasticluster.ssh.base import HostKeyPolicy, SshTarget
from aioelasticluster.ssh.jump import KEEPALIVE, JumpRoute
from aioelasticluster.ssh.keys import ClientKeys
from aioelasticluster.ssh.line import (
    PROXY_PATIENCE,
    RAISE_LIMIT,
    CommandRoute,
    DirectRoute,
    Route,
    place,
)
from aioelasticluster.ssh.login import CLOSING_PATIENCE, log_in, node_handshake
from aioelasticluster.ssh.proxy import JumpHost, parse_proxy

if TYPE_CHECKING:
    import asyncssh

#: Handshakes at a time, where the processor keeps up: enough to hide the network's
#: delay. Where it does not, fewer, so that none starves and the loop stays free.
HANDSHAKES = 64

#: Lines open at a time, however many file descriptors there are.
MOST_LINES = 1000

#: Descriptors left to the rest of the process, and those that one line may need:
#: itself and an agent's socket, or a command's socket, pipe and process.
RESERVE = 32
DESCRIPTORS_PER_LINE = 4

#: Policies whose keys are known before the first connection.
_NEED_KEYS = (HostKeyPolicy.INJECTED, HostKeyPolicy.CLOUD)

_counting = Blocking(width=2, patience=10.0)


class SshClient:
    """Connects to nodes with one key pair while its `async with` block lasts.

    What `connect` returns is the caller's and may outlive the block; a jump host's
    connection then ends with the last of them. Everything else ends with the block.
    """

    def __init__(
        self,
        keys: ClientKeys,
        *,
        proxy: str = "",
        connect_timeout: float = 10.0,
        login_timeout: float = 15.0,
        handshakes: int = HANDSHAKES,
    ) -> None:
        self._keys = keys
        self._proxy = parse_proxy(proxy)
        self._connect_timeout, self._login_timeout = connect_timeout, login_timeout
        self._width = handshakes

    async def __aenter__(self) -> Self:
        self._handshakes = Pace(self._width)
        self._lines = Semaphore(await _counting(_room_for_lines))
        self._route = self._make_route()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        patience = PROXY_PATIENCE + CLOSING_PATIENCE
        await finish(self._route.aclose(), patience=patience)

    def _make_route(self) -> Route:
        if isinstance(self._proxy, JumpHost):
            return JumpRoute(
                self._proxy, self._keys, self._connect_timeout, self._login_timeout
            )
        if self._proxy:
            return CommandRoute(self._proxy, self._connect_timeout)
        return DirectRoute(self._connect_timeout)

    async def connect(
        self, target: SshTarget, *, keepalive: float = KEEPALIVE
    ) -> asyncssh.SSHClientConnection:
        """Return a verified connection, which the caller closes.

        It takes one TCP connection and at most `connect_timeout` until the server
        speaks and `login_timeout` from there. Raises `UnreachableError`,
        `AuthenticationError`, `HostKeyError`; a cancellation leaves nothing open.
        """
        async with self._lines:
            return await self._connect(target, keepalive)

    @asynccontextmanager
    async def connected(
        self, target: SshTarget, *, keepalive: float = 0.0
    ) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """Connect for the block, and be gone when it is left."""
        async with self._lines:
            connection = await self._connect(target, keepalive)
            try:
                yield connection
            finally:
                connection.close()
                await finish(connection.wait_closed(), patience=CLOSING_PATIENCE)

    async def _connect(
        self, target: SshTarget, keepalive: float
    ) -> asyncssh.SSHClientConnection:
        if not target.host_keys and target.policy in _NEED_KEYS:
            raise HostKeyError(f"{place(target)}: no host key of it is recorded")
        line = await self._route.open(target)
        try:
            async with self._handshakes.turn():
                return await log_in(
                    node_handshake(target, line),
                    self._keys,
                    timeout=self._login_timeout,
                    keepalive=keepalive,
                )
        except BaseException:
            line.close()  # also when it waited for its turn and never had one
            raise

    async def run(
        self,
        target: SshTarget,
        command: str,
        *,
        timeout: float | None = None,
        stdin: str = "",
    ) -> RunResult:
        """Run a command; that a node cannot be reached is a value in the result.

        `timeout` bounds the command, not the way there; what it wrote until then is
        in the result. Without `stdin` the command reads end of file.
        """
        result = RunResult(node=target.node, command=command)
        try:
            async with self.connected(target, keepalive=KEEPALIVE) as connection:
                return await _run(connection, result, timeout, stdin)
        except SshError as error:
            return replace(result, error=str(error))


async def _run(
    connection: asyncssh.SSHClientConnection,
    result: RunResult,
    timeout: float | None,
    stdin: str,
) -> RunResult:
    import asyncssh

    process, status = None, None
    try:
        async with asyncio.timeout(timeout):
            process = await connection.create_process(
                result.command,
                # Bytes: asyncssh's decoder swallows a broken character at the end.
                encoding=None,
                input=stdin.encode() or None,
                stdin=asyncssh.PIPE if stdin else asyncssh.DEVNULL,
            )
            stdout, stderr = await process.communicate()
    except TimeoutError:
        stdout, stderr = process.collect_output() if process else (b"", b"")
        ending = f"cut off after {timeout:g} s"
    except (asyncssh.Error, OSError) as fault:
        return replace(result, error=f"the command was not started: {fault}")
    else:
        ending = _ending(process)
        status = None if ending else process.exit_status
    return replace(
        result,
        status=status,
        stdout=stdout.decode(errors="replace"),
        stderr=stderr.decode(errors="replace"),
        error=ending,
    )


def _ending(process: asyncssh.SSHClientProcess[bytes]) -> str:
    """Return why a command has no exit status, empty if it has one."""
    if process.exit_signal is not None:
        return f"ended by signal {process.exit_signal[0]}"
    if process.exit_status is None:
        return "the connection was lost while it ran"
    return ""


def _room_for_lines() -> int:
    """Return how many lines the free file descriptors allow for.

    The limit is the process's own affair, so it is respected rather than raised.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return MOST_LINES
    used = len(os.listdir("/dev/fd"))
    room = (limit - used - RESERVE) // DESCRIPTORS_PER_LINE
    if room < 1:
        raise SshError(
            f"{used} of {limit} file descriptors are in use, too many to connect to "
            f"nodes; {RAISE_LIMIT}"
        )
    return min(room, MOST_LINES)
