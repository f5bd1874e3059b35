"""Google's errors as ours."""

from __future__ import annotations

import pytest

from aioelasticluster import (
    CapacityError,
    InvalidRequestError,
    ProviderError,
    QuotaError,
    ThrottledError,
    TransientError,
    UnauthorizedError,
)
from aioelasticluster.providers.google.faults import of_answer, of_operation


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (403, "rateLimitExceeded", ThrottledError),
        (403, "quotaExceeded", QuotaError),
        (403, "forbidden", UnauthorizedError),
        (403, "something new", UnauthorizedError),
        (429, "", ThrottledError),
        (401, "authError", UnauthorizedError),
        (404, "notFound", InvalidRequestError),
        (400, "invalid", InvalidRequestError),
        (503, "backendError", TransientError),
        (500, "", TransientError),
    ],
)
def test_the_reason_decides_before_the_status(
    status: int, reason: str, kind: type[ProviderError]
) -> None:
    body = {"error": {"message": "so it is", "errors": [{"reason": reason}]}}
    error = of_answer(status, body, "GET /x")
    assert type(error) is kind
    assert "so it is" in str(error)


def test_a_page_that_is_no_answer_has_its_status() -> None:
    assert type(of_answer(502, {}, "GET /x")) is TransientError


def test_a_lack_of_room_says_more_than_what_follows_from_it() -> None:
    operation = {
        "status": "DONE",
        "error": {
            "errors": [
                {"code": "RESOURCE_NOT_FOUND", "message": "gone"},
                {"code": "ZONE_RESOURCE_POOL_EXHAUSTED", "message": "no room"},
            ]
        },
    }
    error = of_operation(operation)
    assert isinstance(error, CapacityError)
    assert "no room" in str(error)


def test_an_operation_without_errors_has_none() -> None:
    assert of_operation({"status": "DONE"}) is None


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        ("QUOTA_EXCEEDED", QuotaError),
        ("RESOURCE_NOT_FOUND", InvalidRequestError),
        ("INTERNAL_ERROR", TransientError),
    ],
)
def test_why_too_few_were_made_says_more_than_that_they_were(
    cause: str, kind: type[ProviderError]
) -> None:
    told = [{"code": "VM_MIN_COUNT_NOT_REACHED"}, {"code": cause, "message": "why"}]
    error = of_operation({"status": "DONE", "error": {"errors": told}})
    assert type(error) is kind
    assert "why" in str(error)


def test_too_few_for_no_reason_are_a_lack_of_room() -> None:
    told = [{"code": "VM_MIN_COUNT_NOT_REACHED", "message": "too few"}]
    error = of_operation({"status": "DONE", "error": {"errors": told}})
    assert type(error) is CapacityError
