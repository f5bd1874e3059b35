"""The HTTP server: EC2 at `/`, the test's own wishes under `/_test/`.

Run as a program, it says its address in one line of JSON, and serves until its
standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Mapping
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
from tests.clouds.serving import CloudServer, bound, hosting, sent, serve, steady_clock


class Server(CloudServer):
    """A cloud that can be talked to, and set to misbehave."""

    def __init__(
        self, plan: AddressPlan, clock: Callable[[], float], keeper: Keeper
    ) -> None:
        super().__init__(plan, clock, keeper)
        self.begin()

    def begin(self) -> None:
        self.cloud = Cloud(self._clock, self._plan)
        self.cloud.changed = self._keeper.changed
        self._front = Front(self.cloud)

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/", self._api)]

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

    def behaviour(self) -> dict[str, Any]:
        return self.cloud.behaviour.plain()

    def behave(self, changes: Mapping[str, Any]) -> None:
        self.cloud.behave(changes)

    def instances(self) -> list[dict[str, Any]]:
        now = self._clock()
        return [
            _instance(account, one, now)
            for account in self.cloud.accounts()
            for one in account.instances.values()
        ]

    def resources(self) -> list[dict[str, Any]]:
        return [_account(account) for account in self.cloud.accounts()]


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
