"""The HTTP server: the API, its tokens, and the test's own wishes under `/_test/`.

Run as a program, it says its address in one line of JSON, and serves until its
standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.clouds.ec2.addresses import AddressPlan
from tests.clouds.ec2.keeper import Keeper
from tests.clouds.gce.accounts import ACCOUNTS, FIRST, GrantError, Tokens
from tests.clouds.gce.cloud import Cloud
from tests.clouds.gce.front import PREFIX, Answer, Front, HttpRequest
from tests.clouds.gce.instances import Instance
from tests.clouds.gce.projects import Project
from tests.clouds.gce.refusals import RefusalError
from tests.clouds.serving import (
    CloudServer,
    bound,
    hosting,
    sent,
    serve,
    steady_clock,
    url_of,
)

_METADATA = "/computeMetadata/v1/"
_IMPERSONATION = "/iam/v1/projects/-/serviceAccounts/"

#: How much later (seconds) than a moment a reply that waits for it is made.
_AFTER = 0.001


class Server(CloudServer):
    """A cloud that can be talked to, and set to misbehave."""

    def __init__(
        self, url: str, plan: AddressPlan, clock: Callable[[], float], keeper: Keeper
    ) -> None:
        super().__init__(plan, clock, keeper)
        self._url = url
        self._tokens = Tokens(clock, f"{url}/token", f"{url}/")
        self.begin()

    def begin(self) -> None:
        projects = {account.project: account.number for account in ACCOUNTS}
        self.cloud = Cloud(self._clock, self._plan, projects)
        self.cloud.changed = self._keeper.changed
        self._front = Front(self.cloud, self._tokens)
        self._tokens.begin()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/_test/credentials", self._credentials),
            web.post("/_test/revoke", self._revoke),
            web.post("/token", self._token),
            web.post("/sts/token", self._token),
            web.get("/subject/{project}", self._subject),
            web.post(f"{_IMPERSONATION}{{call}}", self._impersonate),
            web.get("/", self._metadata_root),
            web.get(f"{_METADATA}{{path:.*}}", self._metadata),
            web.route("*", f"{PREFIX}{{path:.*}}", self._api),
        ]

    # -- the API

    async def _api(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        latency = self.cloud.behaviour.latency
        if latency:
            await asyncio.sleep(latency / 2)
        path, _, query = request.raw_path.partition("?")
        answer = self._front.answer(
            HttpRequest(
                request.method,
                f"http://{request.host}",
                path,
                query,
                request.headers,
                body,
            )
        )
        if answer.later is not None:
            await self._wait(answer)
        self._requests.append(answer.logged())
        if latency:
            await asyncio.sleep(latency / 2)
        return await _sent(request, answer)

    async def _wait(self, answer: Answer) -> None:
        later = answer.later
        assert later is not None
        pause = later.until - self._clock()
        if pause > 0:
            await asyncio.sleep(pause + _AFTER)
        answer.finish(later.reply(self._clock()))

    # -- tokens

    async def _token(self, request: web.Request) -> web.StreamResponse:
        answer = Answer(at=self._clock(), action="token")
        form = {name: str(value) for name, value in (await request.post()).items()}
        fate = self.cloud.fate if self._named("token") else None
        if fate is not None and fate.before("token"):
            answer.status, answer.code = 503, "backendError"
            answer.body = b'{"error": "internal_failure"}'
        else:
            self._grant(answer, form)
            answer.fault = fate.after("token") if fate else ""
        self._requests.append(answer.logged())
        return await _sent(request, answer)

    def _named(self, action: str) -> bool:
        return action in self.cloud.behaviour.actions

    def _grant(self, answer: Answer, form: dict[str, str]) -> None:
        try:
            given = self._tokens.granted(form, self.cloud.behaviour.token_seconds)
            answer.body = json.dumps(given).encode()
        except GrantError as refusal:
            answer.status, answer.code = 400, refusal.plain["error"]
            answer.body = json.dumps(refusal.plain).encode()

    async def _subject(self, request: web.Request) -> web.Response:
        """Give somebody else's token to whom it is meant for."""
        if request.headers.get("Metadata") != "True":
            return web.Response(status=400)
        for account in ACCOUNTS:
            if account.project == request.match_info["project"]:
                return web.json_response({"id_token": account.subject})
        return web.Response(status=404)

    async def _impersonate(self, request: web.Request) -> web.StreamResponse:
        answer = Answer(at=self._clock(), action="impersonation")
        email = request.match_info["call"].removesuffix(":generateAccessToken")
        try:
            given = self._tokens.impersonated(
                request.headers.get("Authorization", ""),
                email,
                (await request.json())["scope"],
                self.cloud.behaviour.token_seconds,
            )
            answer.body = json.dumps(given).encode()
        except RefusalError as refusal:
            answer.status, answer.code = refusal.status, refusal.reason
            answer.body = json.dumps(refusal.plain()).encode()
        self._requests.append(answer.logged())
        return await _sent(request, answer)

    async def _revoke(self, request: web.Request) -> web.Response:
        self._tokens.revoke()
        return web.json_response({})

    async def _metadata_root(self, request: web.Request) -> web.Response:
        return _metadata_reply("computeMetadata/\n")

    async def _metadata(self, request: web.Request) -> web.Response:
        """Answer what a machine of the first project may ask about itself."""
        if request.headers.get("Metadata-Flavor") != "Google":
            return _metadata_reply("Missing Metadata-Flavor:Google header.", 403)
        account = "instance/service-accounts/default/"
        scopes = ["https://www.googleapis.com/auth/cloud-platform"]
        known: dict[str, Callable[[], object]] = {
            "project/project-id": lambda: FIRST.project,
            "project/numeric-project-id": lambda: FIRST.number,
            "universe/universe-domain": lambda: "googleapis.com",
            account: lambda: {
                "aliases": ["default"],
                "email": FIRST.email,
                "scopes": scopes,
            },
            f"{account}email": lambda: FIRST.email,
            f"{account}scopes": lambda: "\n".join(scopes),
            f"{account}token": lambda: self._tokens.made(
                FIRST, self.cloud.behaviour.token_seconds
            ),
        }
        find = known.get(request.match_info["path"])
        if find is None:
            return _metadata_reply("Not Found", 404)
        found = find()
        self._requests.append(Answer(at=self._clock(), action="metadata").logged())
        if isinstance(found, str):
            return _metadata_reply(found)
        return _metadata_reply(json.dumps(found), content_type="application/json")

    # -- what tests ask for

    async def _credentials(self, request: web.Request) -> web.Response:
        uri = self._tokens.token_uri
        found = {}
        for account, name in zip(ACCOUNTS, ("first", "other"), strict=True):
            found[name] = account.service_account(uri)
            found[f"{name}-user"] = account.authorized_user(uri)
            external = account.external_account(self._url)
            found[f"{name}-external"] = external
            found[f"{name}-external-acting"] = external | {
                "service_account_impersonation_url": account.impersonation(self._url)
            }
        return web.json_response(found)

    def behaviour(self) -> dict[str, Any]:
        return self.cloud.behaviour.plain()

    def behave(self, changes: Mapping[str, Any]) -> None:
        self.cloud.behave(changes)

    def instances(self) -> list[dict[str, Any]]:
        self.cloud.settle()
        now = self._clock()
        return [_instance(one, now) for one in self.cloud.instances()]

    def resources(self) -> list[dict[str, Any]]:
        self.cloud.settle()
        return [_project(one) for one in self.cloud.projects()]


def _metadata_reply(
    text: str, status: int = 200, content_type: str = "application/text"
) -> web.Response:
    headers = {"Metadata-Flavor": "Google", "Server": "Metadata Server for VM"}
    return web.Response(
        text=text, status=status, content_type=content_type, headers=headers
    )


def _instance(one: Instance, now: float) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "project": one.project,
        "zone": one.plan.zone,
        "machine_type": one.plan.machine.name,
        "state": one.state(now),
        "labels": dict(one.labels),
        "request": one.request,
        "created_at": one.created_at,
        "boots": one.boots,
        "spot": one.plan.spot,
        "address": one.address,
        "public_address": one.public_address(now),
    }


def _project(project: Project) -> dict[str, Any]:
    return {
        "project": project.id,
        "disks": sorted(f"{zone}/{name}" for zone, name in project.disks),
        "firewalls": sorted(project.firewalls),
        "operations": sorted(project.operations),
    }


async def _sent(request: web.Request, answer: Answer) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status)
    if answer.status != 204:
        response.content_type, response.charset = "application/json", "UTF-8"
    return await sent(request, response, answer.body, answer.fault)


# -- the program


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument(
        "--hosts", type=Path, help="folder for real SSH servers' homes; else none"
    )
    given = parser.parse_args()
    asyncio.run(_serve(given.port, given.hosts))


async def _serve(port: int, folder: Path | None) -> None:
    clock = steady_clock()
    async with hosting(folder, clock) as (plan, keeper):
        with bound(port) as site:
            server = Server(url_of(site), plan, clock, keeper)
            await serve(server.application(), site)


if __name__ == "__main__":
    main()
