"""OpenStack's errors as ours: by status, then by what the message says."""

from __future__ import annotations

import json

import requests
from keystoneauth1 import exceptions as keystone
from openstack import exceptions as sdk

from aioelasticluster.errors import (
    CapacityError,
    ConfigurationError,
    InvalidRequestError,
    ProviderError,
    QuotaError,
    ThrottledError,
    TransientError,
    UnauthorizedError,
    UnknownOutcomeError,
)

#: What comes out of the SDK instead of an answer; anything else is a bug.
FOREIGN = (
    keystone.ClientException,
    requests.RequestException,
    sdk.SDKException,
    OSError,
)

#: The configuration does not lead to a cloud.
_MISCONFIGURED = (
    keystone.MissingRequiredOptions,
    keystone.NoMatchingPlugin,
    keystone.OptionError,
    sdk.ConfigException,
)
_NO_SERVICE = (
    keystone.DiscoveryFailure,
    keystone.EndpointNotFound,
    keystone.VersionNotAvailable,
    sdk.ServiceDisabledException,
)

#: What keystone says of a token, or a credential, that it does not know any more.
_ENDED = ("token", "Could not find")

#: What Nova says of a zone without a host in service; that it exists was looked up.
_CLOSED = "availability zone is not available"

#: Requests that are answered so were not carried out.
_REFUSED_FOR_NOW = frozenset({409, 423, 503})


def ours(fault: Exception, request: str) -> Exception:
    """Return what a fault of the SDK's means to our callers.

    One after which nobody knows whether the request was carried out becomes an
    `UnknownOutcomeError`.
    """
    if isinstance(fault, _NO_SERVICE):
        return InvalidRequestError(f"{request}: {_text(fault)}")
    if isinstance(fault, keystone.SSLError):
        return InvalidRequestError(f"cacert: {request}: {_text(fault)}")
    if isinstance(fault, _MISCONFIGURED):
        return ConfigurationError(
            "cloud",
            "",
            f"the SDK finds no way to authenticate: {fault}",
            "Give `cloud` (clouds.yaml), OS_* variables, or auth_url and credentials",
        )
    if isinstance(fault, keystone.Unauthorized | keystone.Forbidden) or (
        isinstance(fault, keystone.NotFound)
        and any(words in _text(fault) for words in _ENDED)
    ):
        return UnauthorizedError(f"{request}: {_text(fault)}")
    if isinstance(fault, keystone.HttpError):
        return _class_of(fault.http_status, _text(fault))(f"{request}: {_text(fault)}")
    if isinstance(fault, keystone.ConnectTimeout):
        return UnknownOutcomeError(f"{request}: the answer was lost: {_text(fault)}")
    if isinstance(fault, keystone.UnknownConnectionError):
        return UnknownOutcomeError(f"{request}: the answer was lost: {_text(fault)}")
    if isinstance(fault, keystone.ConnectFailure):
        return _of_connection(fault, request)
    return UnknownOutcomeError(f"{request}: the answer was lost: {_text(fault)}")


def _of_connection(fault: Exception, request: str) -> ProviderError:
    """Tell a connection that was never made from one that broke.

    keystoneauth raises the same for both, and keeps what `requests` said as cause.
    """
    causes: list[BaseException] = []
    cause: BaseException | None = fault
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    names = {type(each).__name__ for each in causes}
    refused = {"NewConnectionError", "ConnectionRefusedError", "gaierror"}
    if names & refused or "NewConnectionError" in str(fault):
        return TransientError(f"{request} did not reach the cloud: {_text(fault)}")
    return UnknownOutcomeError(f"{request}: the answer was lost: {_text(fault)}")


def of_answer(answer: requests.Response, request: str) -> ProviderError:
    """Return what a refusing answer means."""
    text = _message_in(answer)
    kind = _class_of(answer.status_code, text)
    return kind(
        f"{request}: {text}",
        code=str(answer.status_code),
        request_id=answer.headers.get("x-openstack-request-id", ""),
    )


def _class_of(status: int, text: str) -> type[ProviderError]:
    if status == 429 or (status == 413 and "imit" in text):
        return ThrottledError
    if status in (403, 413) and ("uota" in text or "exceeded" in text.lower()):
        return QuotaError
    if status in (401, 403):
        return UnauthorizedError
    if status == 409 and "uota" in text:
        return QuotaError
    if status == 409 and "already exists" in text:
        return InvalidRequestError
    if status in _REFUSED_FOR_NOW or status >= 500:
        return TransientError
    if _CLOSED in text:
        return CapacityError
    return InvalidRequestError


def _message_in(answer: requests.Response) -> str:
    """Return the service's own words, wherever it puts them."""
    try:
        body = json.loads(answer.content)
    except ValueError:
        return (answer.text or answer.reason or "refused")[:300].strip()
    found = body
    while isinstance(found, dict) and found:
        found = found.get("message") or next(iter(found.values()))
    if isinstance(found, list) and found:
        found = found[0].get("detail") if isinstance(found[0], dict) else found[0]
    return str(found or answer.reason or "refused")


def _text(fault: Exception) -> str:
    return str(fault) or type(fault).__name__
