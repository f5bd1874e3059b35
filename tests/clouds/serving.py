"""What the test clouds' HTTP servers have in common."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

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


class CloudServer(ABC):
    """Gives tests what they ask any test cloud for, under `/_test/`."""

    def __init__(
        self, plan: AddressPlan, clock: Callable[[], float], keeper: Keeper
    ) -> None:
        self._plan, self._clock, self._keeper = plan, clock, keeper
        self._requests: list[dict[str, Any]] = []

    @abstractmethod
    def begin(self) -> None:
        """Begin with an empty cloud that behaves as usual."""

    @abstractmethod
    def behaviour(self) -> dict[str, Any]:
        """Return how the cloud behaves now."""

    @abstractmethod
    def behave(self, changes: Mapping[str, Any]) -> None:
        """Change how the cloud behaves; raise `ValueError`."""

    @abstractmethod
    def instances(self) -> list[dict[str, Any]]:
        """Return all instances, as tests are told of them."""

    @abstractmethod
    def resources(self) -> list[dict[str, Any]]:
        """Return what each account has beside instances."""

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """Return the cloud's own routes."""

    def application(self) -> web.Application:
        """Return all routes."""
        application = web.Application(client_max_size=LONGEST)
        application.router.add_routes(
            [
                web.get("/_test/behaviour", self._behaviour),
                web.put("/_test/behaviour", self._behave),
                web.get("/_test/cpu", self._cpu),
                web.get("/_test/instances", self._instances),
                web.get("/_test/requests", self._list_requests),
                web.delete("/_test/requests", self._forget_requests),
                web.post("/_test/reset", self._reset),
                web.get("/_test/resources", self._resources),
                *self.routes(),
            ]
        )
        return application

    async def _behaviour(self, request: web.Request) -> web.Response:
        return web.json_response(self.behaviour())

    async def _behave(self, request: web.Request) -> web.Response:
        try:
            self.behave(await request.json())
        except (TypeError, ValueError) as fault:
            return web.json_response({"fault": str(fault)}, status=400)
        return web.json_response(self.behaviour())

    async def _cpu(self, request: web.Request) -> web.Response:
        hosts = await self._keeper.cpu()
        return web.json_response({"server": time.process_time(), "hosts": hosts})

    async def _instances(self, request: web.Request) -> web.Response:
        return web.json_response(self.instances())

    async def _list_requests(self, request: web.Request) -> web.Response:
        return web.json_response(self._requests)

    async def _forget_requests(self, request: web.Request) -> web.Response:
        self._requests.clear()
        return web.json_response({})

    async def _reset(self, request: web.Request) -> web.Response:
        await self._keeper.emptied()
        self.begin()
        self._requests.clear()
        return web.json_response({})

    async def _resources(self, request: web.Request) -> web.Response:
        return web.json_response(self.resources())


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
