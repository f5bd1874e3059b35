"""Google's errors as ours: by reason, for 403 means throttled, full and forbidden."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aioelasticluster.errors import (
    CapacityError,
    InvalidRequestError,
    ProviderError,
    QuotaError,
    ThrottledError,
    TransientError,
    UnauthorizedError,
)

#: Classes by the reason of a refusal, or the code of an operation's error.
_BY_REASON: Mapping[str, type[ProviderError]] = {
    **dict.fromkeys(
        (
            "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED",
            "RATE_LIMIT_EXCEEDED",
            "RESOURCE_OPERATION_RATE_EXCEEDED",
            "rateLimitExceeded",
            "userRateLimitExceeded",
        ),
        ThrottledError,
    ),
    **dict.fromkeys(
        (
            "VM_MIN_COUNT_NOT_REACHED",
            "ZONE_RESOURCE_POOL_EXHAUSTED",
            "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
            "insufficientCapacity",
            "resourcePoolExhausted",
            "zoneResourcePoolExhausted",
        ),
        CapacityError,
    ),
    **dict.fromkeys(
        ("QUOTA_EXCEEDED", "QUOTA_LIMIT", "limitExceeded", "quotaExceeded"), QuotaError
    ),
    **dict.fromkeys(
        ("INTERNAL_ERROR", "RESOURCE_NOT_READY", "backendError", "resourceNotReady"),
        TransientError,
    ),
    **dict.fromkeys(
        (
            "INVALID_FIELD_VALUE",
            "RESOURCE_ALREADY_EXISTS",
            "RESOURCE_NOT_FOUND",
            "UNSUPPORTED_OPERATION",
            "alreadyExists",
            "invalid",
            "notFound",
        ),
        InvalidRequestError,
    ),
    **dict.fromkeys(("PERMISSIONS_ERROR", "authError", "forbidden"), UnauthorizedError),
}

#: Codes for what does not exist, and for what is in no state to do something.
MISSING = frozenset({"404", "RESOURCE_NOT_FOUND", "notFound"})
NOT_READY = frozenset({"RESOURCE_NOT_READY", "resourceNotReady"})

#: Codes that stand beside what is the matter.
_CONSEQUENCES = frozenset({"VM_MIN_COUNT_NOT_REACHED"})


def of_answer(status: int, body: Mapping[str, Any], request: str) -> ProviderError:
    """Return what a refusing answer means."""
    error = body.get("error", {})
    error = error if isinstance(error, dict) else {"message": str(error)}
    reasons = [str(each.get("reason", "")) for each in error.get("errors", ())]
    reasons += [str(each.get("reason", "")) for each in error.get("details", ())]
    kind = _class_of(reasons) or _by_status(status)
    message = str(error.get("message") or f"refused with status {status}")
    return kind(f"{request}: {message}", code=next(filter(None, reasons), str(status)))


def of_operation(operation: Mapping[str, Any]) -> ProviderError | None:
    """Return why an operation failed, None if it did not."""
    errors = operation.get("error", {}).get("errors", ())
    if not errors:
        return None
    first = _worst(errors)
    code = str(first.get("code", ""))
    kind = _class_of([code]) or _by_status(operation.get("httpErrorStatusCode", 0))
    return kind(str(first.get("message") or code), code=code)


def codes_of(operation: Mapping[str, Any]) -> list[str]:
    """Return the codes of an operation's errors."""
    errors = operation.get("error", {}).get("errors", ())
    return [str(error.get("code", "")) for error in errors]


def _worst(errors: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the error that says most: a lack of room before what follows from it."""
    listed = list(errors)
    causes = [error for error in listed if error.get("code") not in _CONSEQUENCES]
    for error in causes:
        known = _BY_REASON.get(str(error.get("code", "")))
        if known is not None and known is not InvalidRequestError:
            return error
    return (causes or listed)[0]


def _class_of(reasons: Iterable[str]) -> type[ProviderError] | None:
    return next((_BY_REASON[r] for r in reasons if r in _BY_REASON), None)


def _by_status(status: int) -> type[ProviderError]:
    if status == 429:
        return ThrottledError
    if status in (401, 403):
        return UnauthorizedError
    if status >= 500 or status in (408, 412):
        return TransientError
    return InvalidRequestError if 400 <= status < 500 else ProviderError
