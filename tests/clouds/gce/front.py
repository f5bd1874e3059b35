"""Takes a request as it came and answers it: who, what, how it ends. No I/O."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from tests.clouds.gce import (
    bulk,
    disks,
    guests,
    launching,
    life,
    networks,
    offers,
    operating,
)
from tests.clouds.gce.accounts import Account, Tokens
from tests.clouds.gce.actions import ACTIONS, Call, Later, check_zone
from tests.clouds.gce.catalogue import REGIONS
from tests.clouds.gce.cloud import Cloud
from tests.clouds.gce.masks import masked, parsed
from tests.clouds.gce.projects import Project
from tests.clouds.gce.refusals import (
    RefusalError,
    invalid,
    not_found,
    rate_limited,
    unavailable,
)
from tests.clouds.gce.spec import Method, Spec, spec

#: The modules whose import enters what they can do in the table of actions.
DOERS = (bulk, disks, guests, launching, life, networks, offers, operating)

#: Where the API is.
PREFIX = "/compute/v1/"

#: Metadata that hold secrets.
_SECRET = frozenset({"user-data", "startup-script"})


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it came."""

    verb: str
    root: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True, kw_only=True)
class Answer:
    """What is sent back, and what is known about the request.

    `fault` is what the connection is to suffer instead of an orderly answer; `later`
    is what the answer has to wait for.
    """

    at: float
    action: str = ""
    project: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    code: str = ""
    body: bytes = b""
    fault: str = ""
    later: Later | None = None
    finish: Callable[[Any], None] = lambda reply: None

    def logged(self) -> dict[str, Any]:
        """Return what the log of requests says of it, without secrets."""
        return {
            "at": self.at,
            "project": self.project,
            "action": self.action,
            "parameters": _without_secrets(self.parameters),
            "status": self.status,
            "code": self.code,
            "fault": self.fault,
            "bytes": len(self.body),
        }


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        if value.get("key") in _SECRET:
            return {**value, "value": f"({len(str(value.get('value')))} characters)"}
        return {name: _without_secrets(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_secrets(inner) for inner in value]
    return value


class Front:
    """Answers the requests to one cloud."""

    def __init__(self, cloud: Cloud, tokens: Tokens) -> None:
        self.cloud, self._tokens = cloud, tokens
        self._spec: Spec = spec()

    def answer(self, request: HttpRequest) -> Answer:
        """Carry out a request, or say why not."""
        answer = Answer(at=self.cloud.clock())
        try:
            self._carry_out(answer, request)
        except RefusalError as refusal:
            answer.status, answer.code = refusal.status, refusal.reason
            answer.body = json.dumps(refusal.plain()).encode()
        return answer

    def _carry_out(self, answer: Answer, request: HttpRequest) -> None:
        if not request.path.startswith(PREFIX):
            raise not_found(request.path)
        method, path = self._spec.route(
            request.verb, unquote(request.path.removeprefix(PREFIX))
        )
        answer.action, answer.project = method.id, path.get("project", "")
        given = parse_qsl(request.query, keep_blank_values=True)
        query = self._spec.query(method, given)
        body = self._spec.body(method, request.body)
        answer.parameters = {**path, **query, **({"body": body} if body else {})}
        account = self._tokens.holder(request.headers.get("Authorization", ""))
        self.cloud.settle()
        self._may_refuse(method)
        project = self._project(path["project"], account, method)
        self._count(project)
        if method.id not in ACTIONS:
            raise RefusalError(501, "notImplemented", f"There is no {method.id} here")
        call = Call(
            method=method.id,
            path=_places_checked(path),
            query=query,
            body=body,
            cloud=self.cloud,
            project=project,
            user=account.email,
            root=f"{request.root}{PREFIX}",
            now=answer.at,
        )
        self._perform(answer, method, call)

    def _may_refuse(self, method: Method) -> None:
        """Refuse a request because fate will have it so."""
        fault = self.cloud.fate.before(method.id)
        if fault == "throttle":
            raise rate_limited("Rate Limit Exceeded")
        if fault == "unavailable":
            raise unavailable()

    def _project(self, name: str, account: Account, method: Method) -> Project:
        """Return whose resources a request is about; refuse what is not its own."""
        own = self.cloud.project(account.project)
        assert own is not None
        if name in (own.id, own.number):
            return own
        if method.id.startswith("images.") and offers.public_images(name):
            return own
        raise RefusalError(
            403,
            "forbidden",
            f"Required 'compute.{method.id}' permission for 'projects/{name}'",
        )

    def _count(self, project: Project) -> None:
        """Count a request in its window; refuse it if there were too many."""
        behaviour = self.cloud.behaviour
        now = self.cloud.clock()
        window = max(behaviour.rate_window, 0.001)
        begins = math.floor(now / window) * window
        before, count = project.window
        project.window = begins, (count if before == begins else 0) + 1
        if 0 < behaviour.rate_limit < project.window[1]:
            raise rate_limited(
                "Quota exceeded for quota metric 'Queries' and limit 'Queries per "
                f"minute' of service 'compute.googleapis.com' for '{project.number}'."
            )

    def _limit_operations(self, method: Method, call: Call) -> None:
        """Refuse an operation if too many are under way."""
        limit = self.cloud.behaviour.operations_limit
        makes = method.response == "Operation" and not method.id.endswith(_READING)
        if makes and 0 < limit <= call.project.under_way(call.now):
            raise rate_limited(
                "Quota exceeded for concurrent operations.",
                "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED",
            )

    def _perform(self, answer: Answer, method: Method, call: Call) -> None:
        self._limit_operations(method, call)
        mask = parsed(call.query["fields"]) if call.query.get("fields") else {}

        def finish(reply: Any) -> None:
            self._spec.check_reply(method, reply)
            if reply is None:
                answer.status = 204
                return
            answer.body = json.dumps(masked(reply, mask)).encode()

        reply = ACTIONS[method.id](call)
        answer.fault = self.cloud.fate.after(method.id)
        if isinstance(reply, Later):
            answer.later, answer.finish = reply, finish
        else:
            finish(reply)


#: Methods about operations that make none.
_READING = ("Operations.get", "Operations.wait")


def _places_checked(path: Mapping[str, str]) -> Mapping[str, str]:
    """Return a path's parameters; refuse places that do not exist."""
    if "zone" in path:
        check_zone(path["zone"])
    if "region" in path and path["region"] not in REGIONS:
        raise invalid("region", path["region"], "Unknown region.")
    return path
