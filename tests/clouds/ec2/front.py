"""Takes a request as it came and answers it: who, what, how it ends. No I/O."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.clouds.ec2 import (
    elastic,
    groups,
    inspecting,
    keys,
    launching,
    life,
    networks,
    offers,
    placements,
    spot,
    tagging,
)
from tests.clouds.ec2.actions import ACTIONS, Call, perform
from tests.clouds.ec2.catalogue import REGIONS
from tests.clouds.ec2.cloud import Cloud
from tests.clouds.ec2.credentials import ACCESS_KEYS
from tests.clouds.ec2.parsing import parsed
from tests.clouds.ec2.refusals import RefusalError
from tests.clouds.ec2.service import VERSIONS, operation
from tests.clouds.ec2.signing import HttpRequest, Signed, check_signature, claimed
from tests.clouds.ec2.writing import ec2_reply, refused, sts_reply

Form = Sequence[tuple[str, str]]

#: The modules whose import enters what they can do in the table of actions.
DOERS = (
    *(elastic, groups, inspecting, keys, launching, life, networks, offers),
    *(placements, spot, tagging),
)

#: Parameters that hold secrets.
_SECRET = frozenset({"UserData"})


@dataclass(slots=True, kw_only=True)
class Answer:
    """What is sent back, and what is known about the request.

    `fault` is what the connection is to suffer instead of an orderly answer.
    """

    request_id: str
    at: float
    action: str = ""
    account: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    code: str = ""
    body: str = ""
    fault: str = ""

    def logged(self) -> dict[str, Any]:
        """Return what the log of requests says of it, without secrets."""
        return {
            "at": self.at,
            "account": self.account,
            "action": self.action,
            "parameters": _without_secrets(self.parameters),
            "status": self.status,
            "code": self.code,
            "fault": self.fault,
            "bytes": len(self.body),
        }


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            name: f"({len(inner)} characters)"
            if name in _SECRET
            else _without_secrets(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_without_secrets(inner) for inner in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else value


class Front:
    """Answers the requests to one cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    def answer(self, request: HttpRequest) -> Answer:
        """Carry out a request, or say why not."""
        answer = Answer(request_id=str(uuid.uuid4()), at=self.cloud.clock())
        service = "ec2"
        try:
            signed = claimed(request)
            service = signed.service if signed.service in VERSIONS else service
            form = _form(request)
            answer.action = dict(form).get("Action", "")
            answer.account = _account(request, signed, answer.at)
            self._carry_out(answer, service, signed.region, form)
        except RefusalError as refusal:
            answer.status, answer.code = refusal.status, refusal.code
            answer.body = refused(service, refusal, answer.request_id)
        return answer

    def _carry_out(self, answer: Answer, service: str, region: str, form: Form) -> None:
        model = _operation(service, form)
        answer.parameters = parsed(model.input_shape, form)
        self._may_refuse(answer.action)
        if service == "sts":
            answer.body = _caller_identity(answer, model)
            return
        if answer.action not in ACTIONS:
            raise RefusalError(
                "UnsupportedOperation",
                f"The action {answer.action} is not supported here",
            )
        account = self.cloud.account(answer.account, region)
        if self.cloud.behaviour.throttle:
            account.buckets.take_request(answer.action, answer.parameters)
        call = Call(answer.action, answer.parameters, self.cloud, account, answer.at)
        try:
            reply = perform(call)
        finally:
            answer.fault = self.cloud.fate.after(answer.action)
        answer.body = ec2_reply(
            answer.action, model.output_shape, reply, answer.request_id
        )

    def _may_refuse(self, action: str) -> None:
        fault = self.cloud.fate.before(action)
        if fault == "throttle":
            raise RefusalError("RequestLimitExceeded", "Request limit exceeded.")
        if fault == "unavailable":
            raise RefusalError("Unavailable", "The server is overloaded.")


def _form(request: HttpRequest) -> Form:
    text = urlsplit(request.url).query
    if request.method == "POST":
        text = request.body.decode(errors="replace")
    return parse_qsl(text, keep_blank_values=True)


def _account(request: HttpRequest, signed: Signed, now: float) -> str:
    """Return the account that has sent a request; refuse whom we do not know."""
    key = ACCESS_KEYS.get(signed.key)
    check_signature(request, signed, key.secret if key else None, now)
    assert key is not None
    if signed.service not in VERSIONS:
        raise RefusalError(
            "AuthFailure", "Credential should be scoped to correct service: 'ec2'."
        )
    if signed.region not in REGIONS:
        raise RefusalError(
            "AuthFailure",
            f"Credential should be scoped to a valid Region, not '{signed.region}'.",
        )
    return key.account


def _operation(service: str, form: Form) -> Any:
    """Return the model of what a request asks for."""
    given = dict(form)
    if "Action" not in given:
        raise RefusalError(
            "MissingAction", "The request is missing an action or a required parameter."
        )
    if given.get("Version") != VERSIONS[service]:
        raise RefusalError(
            "InvalidParameterValue",
            f"The version {given.get('Version')} is not valid for this web service.",
        )
    return operation(service, given["Action"])


def _caller_identity(answer: Answer, model: Any) -> str:
    if answer.action != "GetCallerIdentity":
        raise RefusalError(
            "InvalidAction", f"The action {answer.action} is not supported here"
        )
    identity = {
        "UserId": f"AIDA{answer.account}",
        "Account": answer.account,
        "Arn": f"arn:aws:iam::{answer.account}:user/tester",
    }
    return sts_reply(answer.action, model.output_shape, identity, answer.request_id)
