"""The HTTP server: EC2 at `/`, the test's own wishes under `/_test/`.

Run as a program, it says its address in one line of JSON, and serves until its
standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.clouds.ec2.account import Account
from tests.clouds.ec2.addresses import AddressPlan
from tests.clouds.ec2.catalogue import open_region
from tests.clouds.ec2.cloud import Cloud
from tests.clouds.ec2.credentials import issue
from tests.clouds.ec2.front import Answer, Front
from tests.clouds.ec2.instances import Instance
from tests.clouds.ec2.keeper import Keeper
from tests.clouds.ec2.signing import HttpRequest
from tests.clouds.serving import LONGEST, bound, hosting, sent, serve, steady_clock


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
    response = web.StreamResponse(status=answer.status)
    response.content_type, response.charset = "text/xml", "UTF-8"
    response.headers["x-amzn-RequestId"] = answer.request_id
    return await sent(request, response, answer.body.encode(), answer.fault)


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
    clock = steady_clock()
    async with hosting(folder, clock) as (plan, keeper):
        with bound(port) as site:
            await serve(Server(plan, clock, keeper).application(), site)


if __name__ == "__main__":
    main()
