"""The HTTP server: EC2 at `/`, the test's own wishes under `/_test/`.

Run as a program, it says its address in one line of JSON, and serves until its
standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.clouds.ec2.account import Account
from tests.clouds.ec2.addresses import (
    SHARED_FIRST,
    AddressPlan,
    AddressRange,
    NoRangeError,
)
from tests.clouds.ec2.catalogue import open_region
from tests.clouds.ec2.cloud import Cloud
from tests.clouds.ec2.credentials import issue
from tests.clouds.ec2.front import Answer, Front
from tests.clouds.ec2.instances import Instance
from tests.clouds.ec2.keeper import (
    PROCESSES,
    HostKeeper,
    HostProcess,
    Keeper,
    NoHosts,
)
from tests.clouds.ec2.signing import HttpRequest

#: The longest body (bytes) that is read.
_LONGEST = 1024 * 1024


def steady_clock() -> Callable[[], float]:
    """Return a clock that tells the time since the epoch and never jumps."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


class Server:
    """A cloud that can be talked to, and set to misbehave."""

    def __init__(
        self, plan: AddressPlan, clock: Callable[[], float], keeper: Keeper
    ) -> None:
        self._plan, self._clock, self._keeper = plan, clock, keeper
        self._requests: list[dict[str, Any]] = []
        self._front = self._begun()

    def _begun(self) -> Front:
        """Return an empty cloud behind its front."""
        cloud = Cloud(self._clock, self._plan)
        cloud.changed = self._keeper.changed
        return Front(cloud)

    @property
    def cloud(self) -> Cloud:
        """The cloud as it is since the last reset."""
        return self._front.cloud

    def application(self) -> web.Application:
        """Return the routes."""
        application = web.Application(client_max_size=_LONGEST)
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
                web.route("*", "/", self._api),
            ]
        )
        return application

    # -- EC2

    async def _api(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        latency = self.cloud.behaviour.latency
        if latency:
            await asyncio.sleep(latency / 2)
        url = f"http://{request.host}{request.raw_path}"
        answer = self._front.answer(
            HttpRequest(request.method, url, request.headers, body)
        )
        self._requests.append(answer.logged())
        if latency:
            await asyncio.sleep(latency / 2)
        return await _sent(request, answer)

    # -- what tests ask for

    async def _behaviour(self, request: web.Request) -> web.Response:
        return web.json_response(self.cloud.behaviour.plain())

    async def _behave(self, request: web.Request) -> web.Response:
        try:
            self.cloud.behave(await request.json())
        except (TypeError, ValueError) as fault:
            return web.json_response({"fault": str(fault)}, status=400)
        return web.json_response(self.cloud.behaviour.plain())

    async def _cpu(self, request: web.Request) -> web.Response:
        hosts = await self._keeper.cpu()
        return web.json_response({"server": time.process_time(), "hosts": hosts})

    async def _instances(self, request: web.Request) -> web.Response:
        now = self._clock()
        return web.json_response(
            [
                _instance(account, one, now)
                for account in self.cloud.accounts()
                for one in account.instances.values()
            ]
        )

    async def _list_requests(self, request: web.Request) -> web.Response:
        return web.json_response(self._requests)

    async def _forget_requests(self, request: web.Request) -> web.Response:
        self._requests.clear()
        return web.json_response({})

    async def _reset(self, request: web.Request) -> web.Response:
        await self._keeper.emptied()
        self._front = self._begun()
        self._requests.clear()
        return web.json_response({})

    async def _resources(self, request: web.Request) -> web.Response:
        accounts = self.cloud.accounts()
        return web.json_response([_account(account) for account in accounts])


def _instance(account: Account, one: Instance, now: float) -> dict[str, Any]:
    return {
        "id": one.id,
        "account": account.id,
        "region": account.region,
        "zone": one.plan.subnet.zone,
        "flavor": one.plan.flavor.name,
        "state": one.state(now),
        "reason": one.phase(now).reason,
        "index": one.index,
        "token": one.plan.token,
        "tags": account.tags.get(one.id, {}),
        "launched_at": one.launched_at,
        "spot": one.plan.spot,
        "address": one.address,
        "public_address": one.public_address(now),
    }


def _account(account: Account) -> dict[str, Any]:
    return {
        "account": account.id,
        "region": account.region,
        "key_pairs": sorted(account.key_pairs),
        "groups": sorted(
            group.name for group in account.groups.values() if group.name != "default"
        ),
        "addresses": sorted(one.address for one in account.elastics.values()),
        "placement_groups": sorted(account.placement_groups),
        "spot_requests": sorted(account.spot_requests),
    }


async def _sent(request: web.Request, answer: Answer) -> web.StreamResponse:
    """Send an answer, or let the connection suffer what fate has in store."""
    if answer.fault == "hang":
        await _until_closed(request)
    if answer.fault in ("hang", "reset"):
        _reset_connection(request)
        return web.Response()
    body = answer.body.encode()
    sent = body[: len(body) // 2] if answer.fault in ("truncate", "abort") else body
    response = web.StreamResponse(status=answer.status)
    response.content_type, response.charset = "text/xml", "UTF-8"
    response.headers["x-amzn-RequestId"] = answer.request_id
    response.content_length = len(body if answer.fault == "abort" else sent)
    try:
        await response.prepare(request)
        await response.write(sent)
    except ConnectionError:
        return response  # the client has left
    if answer.fault == "abort" and request.transport is not None:
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


# -- the program


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument(
        "--hosts", type=Path, help="folder for real SSH servers' homes; else none"
    )
    parser.add_argument("--region", help="offer this region, too")
    parser.add_argument("--key", help="know this access key, too: `id:secret`")
    given = parser.parse_args()
    if given.region:
        open_region(given.region)
    if given.key:
        issue(*given.key.split(":", 1))
    asyncio.run(_serve(given.port, given.hosts))


async def _serve(port: int, folder: Path | None) -> None:
    addresses, clock = _claimed(needed=folder is not None), steady_clock()
    keeper = await _keeper(folder, clock)
    plan = AddressPlan(addresses.first if addresses else SHARED_FIRST)
    server = Server(plan, clock, keeper)
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port, backlog=1024)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        sys.stdout.write(json.dumps({"url": url, "pid": os.getpid()}) + "\n")
        sys.stdout.flush()
        await _end_of(sys.stdin.fileno())
    finally:
        await runner.cleanup()
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


if __name__ == "__main__":
    main()
