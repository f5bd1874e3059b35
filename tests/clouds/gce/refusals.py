"""What the cloud says no with: at once, or as an operation's errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_WORDS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
}


class RefusalError(Exception):
    """The cloud refuses a request, as Google would."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        domain: str = "global",
        details: list[dict[str, Any]] | None = None,
        **where: str,
    ) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status, self.reason, self.message = status, reason, message
        self._domain, self._details, self._where = domain, details, where

    def plain(self) -> dict[str, Any]:
        """Return the body of the answer."""
        entry = {"message": self.message, "domain": self._domain, "reason": self.reason}
        error: dict[str, Any] = {
            "code": self.status,
            "message": self.message,
            "errors": [{**entry, **self._where}],
            "status": _WORDS[self.status],
        }
        if self._details:
            error["details"] = self._details
        return {"error": error}


def invalid(field: str, value: object, why: str) -> RefusalError:
    """Say that a field's value is not possible."""
    return RefusalError(
        400, "invalid", f"Invalid value for field '{field}': '{value}'. {why}"
    )


def required(field: str) -> RefusalError:
    """Say that a field is missing."""
    return RefusalError(400, "required", f"Required field '{field}' not specified")


def not_found(path: str) -> RefusalError:
    """Say that a resource is not there."""
    return RefusalError(404, "notFound", f"The resource '{path}' was not found")


def already_exists(path: str) -> RefusalError:
    """Say that a resource is there already."""
    return RefusalError(409, "alreadyExists", f"The resource '{path}' already exists")


def not_ready(path: str) -> RefusalError:
    """Say that a resource is in no state for this."""
    return RefusalError(400, "resourceNotReady", f"The resource '{path}' is not ready")


def quota_exceeded(limit: int, region: str) -> RefusalError:
    """Say that a project may not have so many instances."""
    return RefusalError(
        403, "quotaExceeded", _quota_message(limit, region), domain="usageLimits"
    )


def rate_limited(message: str, reason: str = "RATE_LIMIT_EXCEEDED") -> RefusalError:
    """Say that a project asks too much."""
    detail = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": "compute.googleapis.com"},
    }
    return RefusalError(
        403, "rateLimitExceeded", message, domain="usageLimits", details=[detail]
    )


def unavailable() -> RefusalError:
    """Say that the cloud is out of order for now."""
    return RefusalError(
        503, "backendError", "The service is currently unavailable. Try again later."
    )


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an operation, or one instance of it, came to nothing."""

    code: str
    message: str
    status: int = 400
    words: str = "BAD REQUEST"
    details: list[dict[str, Any]] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """Return it as an entry of an operation's errors."""
        entry: dict[str, Any] = {"code": self.code, "message": self.message}
        return entry | ({"errorDetails": self.details} if self.details else {})


def exhausted(project: str, zone: str, machine: str) -> Failure:
    """Say that a zone has no machines left."""
    info = {
        "reason": "resource_availability",
        "domain": "compute.googleapis.com",
        "metadatas": {"vmType": machine, "zone": zone},
    }
    return Failure(
        "ZONE_RESOURCE_POOL_EXHAUSTED",
        f"The zone 'projects/{project}/zones/{zone}' does not have enough resources "
        "available to fulfill the request. Try a different zone, or try again later.",
        503,
        "SERVICE UNAVAILABLE",
        [{"errorInfo": info}],
    )


def over_quota(limit: int, region: str) -> Failure:
    """Say in an operation that a project may not have so many instances."""
    info = {
        "limit": float(limit),
        "limitName": "INSTANCES-per-project-region",
        "metricName": "compute.googleapis.com/instances",
        "dimensions": {"region": region},
    }
    message = _quota_message(limit, region)
    return Failure("QUOTA_EXCEEDED", message, 403, "FORBIDDEN", [{"quotaInfo": info}])


def taken(path: str) -> Failure:
    """Say in an operation that a name is in use."""
    message = f"The resource '{path}' already exists"
    return Failure("RESOURCE_ALREADY_EXISTS", message, 409, "CONFLICT")


def too_few(least: int) -> Failure:
    """Say that the least number of instances could not be made."""
    return Failure(
        "VM_MIN_COUNT_NOT_REACHED",
        f"Requested minimum count of {least} VMs could not be created.",
    )


def broken(code: str) -> Failure:
    """Say that something failed that a test wanted to fail."""
    return Failure(
        code, f"Internal error. Please try again. ({code})", 500, "INTERNAL ERROR"
    )


def _quota_message(limit: int, region: str) -> str:
    return f"Quota 'INSTANCES' exceeded. Limit: {float(limit)} in region {region}."
