"""The ways to a node's SSH port: a TCP connection, or a command's standard streams.

A way is tried until the server's banner is there, which costs next to nothing; only
then is a handshake worth its CPU.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from aioelasticluster.errors import SshError, UnreachableError
from aioelasticluster.ssh.base import SshTarget
from aioelasticluster.ssh.proxy import fill_command

if TYPE_CHECKING:
    import asyncssh

#: What to do when descriptors run out.
RAISE_LIMIT = "raise the limit with `ulimit -n 4096`"

#: How long (seconds) a proxy command may take to end after it was told to.
PROXY_PATIENCE = 2.0


@dataclass(slots=True)
class Line:
    """An open way to a node: a socket of our own, or a tunnel through a jump host.

    `close` may be called more than once. A socket that a transport has taken over is
    the transport's to close: whoever hands it over sets `sock` to None.
    """

    sock: socket.socket | None = None
    tunnel: asyncssh.SSHClientConnection | None = None
    release: Callable[[], None] | None = None

    async def banner(self) -> None:
        """Return when the server has begun to speak; without a socket, at once."""
        if self.sock is not None:
            await _readable(self.sock)
            if not self.sock.recv(1, socket.MSG_PEEK):
                raise ConnectionResetError("it closes the connection at once")

    def close(self) -> None:
        """Close the socket, if it is still ours, and let go of what led there."""
        sock, self.sock = self.sock, None
        if sock is not None:
            sock.close()
        release, self.release = self.release, None
        if release is not None:
            release()


class Route(Protocol):
    """How lines to nodes are opened."""

    async def open(self, target: SshTarget) -> Line:
        """Open a line in bounded time; raise `UnreachableError`, `SshError`."""

    async def aclose(self) -> None:
        """End what the lines were led through, once the last of them is closed."""


class DirectRoute:
    """A TCP connection to each node; `patience` seconds for it and the banner."""

    def __init__(self, patience: float) -> None:
        self._patience = patience

    async def open(self, target: SshTarget) -> Line:
        """Connect to the address, or to the first that answers of a host name."""
        async with _opening(target, self._patience) as line:
            line.sock = await _open_socket(target.address, target.port)
            await line.banner()
        return line

    async def aclose(self) -> None:
        """Leave: there is nothing to close."""


class CommandRoute:
    """A ProxyCommand for each node; its standard streams lead there."""

    def __init__(self, command: str, patience: float) -> None:
        self._command, self._patience = command, patience
        self._ending: set[_ProxyProcess] = set()

    async def open(self, target: SshTarget) -> Line:
        """Start the command and wait until the node speaks through it."""
        async with _opening(target, self._patience) as line:
            line.sock, theirs = socket.socketpair()
            line.sock.setblocking(False)
            with theirs:
                process = await _start(fill_command(self._command, target), theirs)
            line.release = lambda: self._end(process)
            try:
                await line.banner()
            except ConnectionError as error:
                raise ConnectionError(await process.last_words()) from error
        return line

    def _end(self, process: _ProxyProcess) -> None:
        process.signal(signal.SIGTERM)
        self._ending.add(process)

    async def aclose(self) -> None:
        """Wait for commands that were told to end; kill those that do not."""
        ending, self._ending = self._ending, set()
        if ending:
            exits = {process.exited for process in ending}
            await asyncio.wait(exits, timeout=PROXY_PATIENCE)
        for process in ending:
            process.signal(signal.SIGKILL)
            process.transport.close()


@asynccontextmanager
async def _opening(target: SshTarget, patience: float) -> AsyncIterator[Line]:
    """Yield a line to fill in; what fails closes it and becomes our error."""
    line = Line()
    try:
        async with asyncio.timeout(patience):
            yield line
    except OSError as error:
        stage = "it connects but shows no SSH banner" if line.sock else "no answer"
        line.close()
        raise unreachable(target, error, f"{stage} within {patience:g} s") from error
    except BaseException:
        line.close()
        raise


def unreachable(target: SshTarget, error: Exception, timed_out: str) -> SshError:
    """Return our error for a failed connection; `timed_out` is the text for that."""
    number = getattr(error, "errno", None)
    if number in (errno.EMFILE, errno.ENFILE):
        return SshError(f"{place(target)}: no file descriptors left; {RAISE_LIMIT}")
    if isinstance(error, TimeoutError) and number is None:
        reason = timed_out
    elif isinstance(error, socket.gaierror):
        reason = error.strerror or str(error)
    else:
        reason = os.strerror(number) if number else str(error)
    return UnreachableError(f"{place(target)}: {reason}")


def place(target: SshTarget) -> str:
    """Return how messages name a node: with the address that was tried."""
    return f"{target.node} ({target.address} port {target.port})"


class _ProxyProcess(asyncio.SubprocessProtocol):
    """A running ProxyCommand: what it said last, and when it ends."""

    transport: asyncio.SubprocessTransport

    def __init__(self) -> None:
        self.exited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._said = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        self.transport = transport

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._said = (self._said + data)[-1000:]

    def process_exited(self) -> None:
        _settle(self.exited)

    def signal(self, number: signal.Signals) -> None:
        """Signal the whole group, unless the command has ended."""
        if self.transport.get_returncode() is None:
            try:
                os.killpg(self.transport.get_pid(), number)
            except ProcessLookupError:
                pass

    async def last_words(self) -> str:
        """Return how the command ended, and the last line that it wrote."""
        await asyncio.wait({self.exited}, timeout=PROXY_PATIENCE)
        lines = self._said.decode(errors="replace").strip().splitlines()
        said = f": {lines[-1]}" if lines else ""
        return (
            "the proxy command ended with status "
            f"{self.transport.get_returncode()}{said}"
        )


async def _start(command: str, streams: socket.socket) -> _ProxyProcess:
    loop = asyncio.get_running_loop()
    # The shell is replaced by the command, so that signals reach it. A session of its
    # own keeps a Ctrl-C at the terminal from cutting connections before we close them.
    _, process = await loop.subprocess_exec(
        _ProxyProcess,
        *("/bin/sh", "-c", f"exec {command}"),
        stdin=streams.fileno(),
        stdout=streams.fileno(),
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    return process


async def _open_socket(host: str, port: int) -> socket.socket:
    """Connect to an address, or to the first one of a host name that answers."""
    loop = asyncio.get_running_loop()
    if family := _family(host):
        return await _connected(family, (host, port))
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError | None = None
    for kind, _, _, _, address in found:
        try:
            return await _connected(kind, address)
        except OSError as error:
            failure = error
    raise failure or OSError("the name has no address")


def _family(host: str) -> int:
    """Return the address family of a literal address, 0 for a host name.

    A literal needs no resolver, and so no thread.
    """
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return 0
    return socket.AF_INET if version == 4 else socket.AF_INET6


async def _connected(family: int, address: tuple[Any, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


async def _readable(sock: socket.socket) -> None:
    """Wait for the first byte and leave it there: it costs no CPU while we wait."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock, _settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(sock)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
