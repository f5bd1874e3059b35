"""Checks who sends a request: signature version 4, computed by botocore itself."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from tests.clouds.ec2.refusals import RefusalError

#: How far (seconds) a client's clock may be off.
_SKEW = 15 * 60

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/, ]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request,"
    r" ?SignedHeaders=([^, ]+), ?Signature=([0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class Signed:
    """What a request says of its sender, not yet believed."""

    key: str
    region: str
    service: str
    headers: tuple[str, ...]
    signature: str


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it came, so far as it is signed."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


class _SignsAll(SigV4Auth):  # type: ignore[misc]
    """Signs the headers that the sender did, also those that botocore never would."""

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        headers = HTTPHeaders()
        for name, value in request.headers.items():
            headers[name.lower()] = value
        return headers


def claimed(request: HttpRequest) -> Signed:
    """Read who claims to have sent a request."""
    found = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
    if found is None:
        raise RefusalError(
            "MissingAuthenticationToken",
            "Request is missing Authentication Token",
        )
    key, _, region, service, headers, signature = found.groups()
    return Signed(key, region, service, tuple(headers.split(";")), signature)


def check_signature(
    request: HttpRequest, signed: Signed, secret: str | None, now: float
) -> None:
    """Refuse a request that was not signed with the key's secret, now."""
    stamp = request.headers.get("X-Amz-Date", "")
    if not {"host", "x-amz-date"}.issubset(signed.headers) or secret is None:
        raise _failure(signed.service, known=secret is not None)
    expected = _expected(request, signed, secret, stamp)
    if not hmac.compare_digest(expected, signed.signature):
        raise _failure(signed.service, known=True)
    if "X-Amz-Security-Token" in request.headers:  # no session was ever opened here
        raise _failure(signed.service, known=False)
    sent = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    if abs(now - sent) > _SKEW:
        raise RefusalError("RequestExpired", "Request has expired.")


def _expected(request: HttpRequest, signed: Signed, secret: str, stamp: str) -> str:
    """Return the signature that the owner of the secret would have sent."""
    auth = _SignsAll(Credentials(signed.key, secret), signed.service, signed.region)
    given = {name: request.headers.get(name, "") for name in signed.headers}
    copy = AWSRequest(request.method, request.url, given, request.body)
    copy.context["timestamp"] = stamp
    text = auth.string_to_sign(copy, auth.canonical_request(copy))
    return str(auth.signature(text, copy))


def _failure(service: str, *, known: bool) -> RefusalError:
    if service != "sts":
        return RefusalError(
            "AuthFailure",
            "AWS was not able to validate the provided access credentials",
        )
    if known:
        return RefusalError(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you "
            "provided.",
        )
    return RefusalError(
        "InvalidClientTokenId",
        "The security token included in the request is invalid.",
    )
