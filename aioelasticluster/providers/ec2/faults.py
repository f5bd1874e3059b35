"""EC2's errors as ours: by code first, for the same status means many things."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

import aiohttp
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from aioelasticluster.errors import (
    CapacityError,
    InvalidRequestError,
    ProviderError,
    QuotaError,
    ThrottledError,
    TransientError,
    UnauthorizedError,
    UnknownOutcomeError,
)

#: Classes by code; what a code begins with is looked up if it is not listed.
#: Source: "Error codes for the Amazon EC2 API"; the classes are ours.
_BY_CODE: Mapping[str, type[ProviderError]] = {
    **dict.fromkeys(
        (
            "EC2ThrottledException",
            "RequestLimitExceeded",
            "RequestThrottled",
            "SlowDown",
            "Throttling",
            "ThrottlingException",
        ),
        ThrottledError,
    ),
    **dict.fromkeys(
        (
            "InsufficientAddressCapacity",
            "InsufficientCapacityOnHost",
            "InsufficientFreeAddressesInSubnet",
            "InsufficientHostCapacity",
            "InsufficientInstanceCapacity",
            "InsufficientReservedInstanceCapacity",
            "SpotMaxPriceTooLow",
            "UnfulfillableCapacity",
            "Unsupported",  # the type is not offered in the zone
        ),
        CapacityError,
    ),
    **dict.fromkeys(
        (
            "AddressLimitExceeded",
            "InstanceLimitExceeded",
            "MaxIOPSLimitExceeded",
            "MaxSpotInstanceCountExceeded",
            "SecurityGroupLimitExceeded",
            "SecurityGroupsPerInstanceLimitExceeded",
            "VcpuLimitExceeded",
            "VolumeLimitExceeded",
        ),
        QuotaError,
    ),
    **dict.fromkeys(
        (
            "AuthFailure",
            "Blocked",
            "ExpiredToken",
            "IncompleteSignature",
            "InvalidClientTokenId",  # the credential, not ClientToken
            "MissingAuthenticationToken",
            "OptInRequired",
            "PendingVerification",
            "RequestExpired",
            "SignatureDoesNotMatch",
            "UnauthorizedOperation",
            "UnrecognizedClientException",
        ),
        UnauthorizedError,
    ),
    **dict.fromkeys(
        (
            "DependencyViolation",  # what hangs on it is still on its way out
            "IncorrectInstanceState",
            "IncorrectState",
            "InternalError",
            "InternalFailure",
            "Resource.AlreadyAssociated",
            "ServiceUnavailable",
            "Unavailable",
        ),
        TransientError,
    ),
    "IdempotentParameterMismatch": InvalidRequestError,
    "UnknownParameter": InvalidRequestError,
    "UnsupportedOperation": InvalidRequestError,
}
_BY_START: Mapping[str, type[ProviderError]] = {
    "Invalid": InvalidRequestError,
    "Missing": InvalidRequestError,
    "Insufficient": CapacityError,
    "Max": QuotaError,
}

#: Codes of transient errors after which nothing was done ("": the request was not
#: sent); after others, a gateway's among them, nobody knows.
UNDONE = frozenset(
    {
        "",
        "DependencyViolation",
        "IncorrectInstanceState",
        "IncorrectState",
        "Resource.AlreadyAssociated",
    }
)

#: What comes out of a client instead of an answer; anything else is a bug.
FOREIGN = (
    aiohttp.ClientError,
    boto.BotoCoreError,
    boto.ClientError,
    OSError,
    ResponseParserError,  # of a body cut short, or a proxy's page; a class by itself
)

#: The request did not leave this machine.
_NOT_SENT = (boto.ConnectTimeoutError, boto.ProxyConnectionError)

#: The same, inside an `EndpointConnectionError`: that may be a reset connection, too.
_NOT_CONNECTED = (aiohttp.ClientConnectorError, socket.gaierror)

_NO_CREDENTIALS = (
    boto.CredentialRetrievalError,
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.ProfileNotFound,
    boto.SSOError,
    boto.TokenRetrievalError,
)


def ours(fault: Exception, action: str, caller: str = "") -> ProviderError:
    """Return what a fault of botocore's means to our callers; `caller` is who asked.

    One after which nobody knows whether the request was carried out becomes an
    `UnknownOutcomeError`.
    """
    if isinstance(fault, boto.ClientError):
        return _of_answer(fault.response, action, caller)
    if isinstance(fault, _NO_CREDENTIALS):
        return UnauthorizedError(f"no usable credentials for EC2: {fault}")
    if isinstance(fault, _NOT_SENT) or _is_unconnected(fault):
        return TransientError(f"{action} did not reach EC2: {fault}")
    if isinstance(fault, boto.SSLError):
        return InvalidRequestError(f"url: EC2's certificate is not trusted: {fault}")
    if isinstance(fault, boto.ParamValidationError | boto.NoRegionError):
        return InvalidRequestError(f"{action}: {fault}")
    return UnknownOutcomeError(f"{action}: the answer was lost: {fault}")


def _is_unconnected(fault: Exception) -> bool:
    return isinstance(fault, boto.EndpointConnectionError) and isinstance(
        fault.kwargs.get("error"), _NOT_CONNECTED
    )


def _of_answer(answer: Mapping[str, Any], action: str, caller: str) -> ProviderError:
    error, meta = answer.get("Error", {}), answer.get("ResponseMetadata", {})
    status = meta.get("HTTPStatusCode", 0)
    code = error.get("Code") or str(status)
    text = f"{action}: {error.get('Message') or 'refused without a reason'}"
    facts = {"code": code, "request_id": meta.get("RequestId", "")}
    kind = _class_of(code, status)
    if caller and kind is UnauthorizedError:
        text = f"{caller}: {text}"
    return kind(text, **facts)


def _class_of(code: str, status: int) -> type[ProviderError]:
    if (known := _BY_CODE.get(code)) is not None:
        return known
    if code.endswith("LimitExceeded"):
        return QuotaError
    for start, kind in _BY_START.items():
        if code.startswith(start):
            return kind
    return TransientError if status >= 500 else ProviderError
