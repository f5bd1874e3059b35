"""What the test clouds' HTTP servers have in common."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from tests.clouds.ec2.addresses import (
    SHARED_FIRST,
    AddressPlan,
    AddressRange,
    NoRangeError,
)
from tests.clouds.ec2.keeper import (
    PROCESSES,
    HostKeeper,
    HostProcess,
    Keeper,
    NoHosts,
)

#: The longest body (bytes) that is read.
LONGEST = 1024 * 1024


def steady_clock() -> Callable[[], float]:
    """Return a clock that tells the time since the epoch and never jumps."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


async def sent(
    request: web.Request, response: web.StreamResponse, body: bytes, fault: str
) -> web.StreamResponse:
    """Send a body, or let the connection suffer a fault of `Behaving`."""
    if fault == "hang":
        await _until_closed(request)
    if fault in ("hang", "reset"):
        _reset_connection(request)
        return web.Response()
    part = body[: len(body) // 2] if fault in ("truncate", "abort") else body
    response.content_length = len(body if fault == "abort" else part)
    try:
        await response.prepare(request)
        await response.write(part)
    except ConnectionError:
        return response  # the client has left
    if fault == "abort" and request.transport is not None:
        request.transport.close()
    return response


async def _until_closed(request: web.Request) -> None:
    while request.transport is not None:  # noqa: ASYNC110  aiohttp only forgets it
        await asyncio.sleep(0.02)


def _reset_connection(request: web.Request) -> None:
    """Cut a connection so that the client's next step fails at once."""
    transport = request.transport
    if transport is None:
        return
    connection: socket.socket = transport.get_extra_info("socket")
    at_once = struct.pack("ii", 1, 0)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    transport.abort()


@asynccontextmanager
async def hosting(
    folder: Path | None, clock: Callable[[], float]
) -> AsyncIterator[tuple[AddressPlan, Keeper]]:
    """Own addresses and, with a folder for their homes, real hosts."""
    addresses = _claimed(needed=folder is not None)
    keeper = await _keeper(folder, clock)
    try:
        yield AddressPlan(addresses.first if addresses else SHARED_FIRST), keeper
    finally:
        await keeper.end()
        if addresses:
            addresses.close()


def _claimed(*, needed: bool) -> AddressRange | None:
    """Return a range of our own, or None where there is none and we can do without."""
    try:
        return AddressRange()
    except NoRangeError:
        if needed:
            raise
        return None


async def _keeper(folder: Path | None, clock: Callable[[], float]) -> Keeper:
    if folder is None:
        return NoHosts()
    processes = [await HostProcess.started(folder) for _ in range(PROCESSES)]
    return HostKeeper(processes, clock)


async def serve(application: web.Application, site: socket.socket) -> None:
    """Say where the server is, and serve until standard input ends."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.SockSite(runner, site, backlog=1024).start()
        line = json.dumps({"url": url_of(site), "pid": os.getpid()})
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        await _end_of(sys.stdin.fileno())
    finally:
        await runner.cleanup()


def bound(port: int) -> socket.socket:
    """Return a socket for a server on this machine alone; port 0: any."""
    site = socket.socket()
    site.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    site.bind(("127.0.0.1", port))
    return site


def url_of(site: socket.socket) -> str:
    """Return the address of a server on a socket."""
    return f"http://127.0.0.1:{site.getsockname()[1]}"


async def _end_of(descriptor: int) -> None:
    """Wait until nobody holds the other end of a pipe."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def read() -> None:
        if not os.read(descriptor, 4096):
            loop.remove_reader(descriptor)
            ended.set()

    loop.add_reader(descriptor, read)
    await ended.wait()
