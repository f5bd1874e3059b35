"""The table of what the server can do, and what a doer is given."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.clouds.gce.behaviour import Behaviour
from tests.clouds.gce.catalogue import ZONES
from tests.clouds.gce.cloud import Cloud
from tests.clouds.gce.operations import Operation, operation_name
from tests.clouds.gce.projects import Project, Replayed
from tests.clouds.gce.refusals import Failure, broken, invalid

Reply = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One request that was understood: who asks for what, and when.

    `root` is where the URLs of resources begin, up to "projects/".
    """

    method: str
    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Reply
    cloud: Cloud
    project: Project
    user: str
    root: str
    now: float

    @property
    def behaviour(self) -> Behaviour:
        """How the cloud behaves now."""
        return self.cloud.behaviour

    @property
    def zone(self) -> str:
        """The zone in the path."""
        return self.path["zone"]

    @property
    def place(self) -> str:
        """Where its operation is: "zones/Z", "regions/R" or "global"."""
        for kind in ("zone", "region"):
            if kind in self.path:
                return f"{kind}s/{self.path[kind]}"
        return "global"

    def under(self, kind: str, name: str) -> str:
        """Return how others refer to a resource in this place."""
        return f"projects/{self.project.id}/{self.place}/{kind}/{name}"

    def digest(self) -> str:
        """Return what is the same for the same request."""
        what = [self.method, self.path, self.body]
        text = json.dumps(what, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Later:
    """A reply that is given when an operation is done, or at a moment."""

    until: float
    reply: Callable[[float], Reply]


Doer = Callable[[Call], Reply | Later | None]

ACTIONS: dict[str, Doer] = {}


def action(*names: str) -> Callable[[Doer], Doer]:
    """Enter a function in the table of actions."""

    def entered(run: Doer) -> Doer:
        ACTIONS.update(dict.fromkeys(names, run))
        return run

    return entered


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a request is to set going.

    `effect` does it and returns when it is done; it is left out if the operation fails.
    """

    kind: str
    target: str
    effect: Callable[[], float]
    target_id: str = ""
    failures: Sequence[Failure] = ()


def mutation(*names: str) -> Callable[[Callable[[Call], Work]], Callable[[Call], Work]]:
    """Enter a function that sets something going; its reply is an operation."""

    def entered(run: Callable[[Call], Work]) -> Callable[[Call], Work]:
        def answered(call: Call) -> Reply:
            return once(call, lambda: _operation(call, run(call)))

        ACTIONS.update(dict.fromkeys(names, answered))
        return run

    return entered


def once(call: Call, begin: Callable[[], Operation]) -> Reply:
    """Begin an operation, unless the request id says that it has begun already."""
    request = request_id(call)
    known = call.project.requests if call.behaviour.remembers else {}
    before = known.get(request)
    if before is not None and before.digest != call.digest():
        raise invalid(
            "requestId", request, "It belongs to a request with other parameters."
        )
    operation = before.operation if before else begin()
    if request:
        call.project.requests[request] = Replayed(call.digest(), operation)
    return operation.plain(call.root, call.now)


def request_id(call: Call) -> str:
    """Return the id by which the client repeats a request, or ""."""
    text = str(call.query.get("requestId", ""))
    try:
        if text and uuid.UUID(text).int == 0:
            raise ValueError
    except ValueError as fault:
        raise invalid("requestId", text, "Must be a UUID that is not zero.") from fault
    return text


def _operation(call: Call, work: Work) -> Operation:
    code = call.cloud.fate.of_operation(call.method)
    done = call.now if code else work.effect()
    return begun(
        call,
        kind=work.kind,
        target=work.target,
        target_id=work.target_id,
        request=request_id(call),
        ends=max(done, call.now + call.behaviour.operation_seconds),
        failures=[*work.failures, *([broken(code)] if code else [])],
    )


def begun(call: Call, *, place: str = "", **facts: Any) -> Operation:
    """Enter a new operation in the project's."""
    operation = Operation(
        project=call.project.id,
        place=place or call.place,
        user=call.user,
        began=call.now,
        name=operation_name(call.now),
        **facts,
    )
    call.project.operations[operation.name] = operation
    return operation


def check_zone(zone: str) -> str:
    """Return a zone's region; refuse a zone that does not exist."""
    if zone not in ZONES:
        raise invalid("zone", zone, "Unknown zone.")
    return ZONES[zone]
