"""What the cloud says no with: a code, a sentence, an HTTP status."""

from __future__ import annotations

_STATUS = {
    "AuthFailure": 401,
    "DryRunOperation": 412,
    "InsufficientInstanceCapacity": 500,
    "InternalError": 500,
    "InvalidClientTokenId": 403,
    "MissingAuthenticationToken": 403,
    "RequestLimitExceeded": 503,
    "SignatureDoesNotMatch": 403,
    "Unavailable": 503,
}


class RefusalError(Exception):
    """The cloud refuses a request, as EC2 would."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message
        self.status = _STATUS.get(code, 400)


def not_found(code: str, what: str, ids: list[str]) -> RefusalError:
    """Say that resources are not there, in EC2's words: one or many."""
    words, ending = ("IDs", "do") if len(ids) > 1 else ("ID", "does")
    return RefusalError(
        code, f"The {what} {words} '{', '.join(ids)}' {ending} not exist"
    )


def invalid(message: str) -> RefusalError:
    """Say that a parameter's value is not possible."""
    return RefusalError("InvalidParameterValue", message)
