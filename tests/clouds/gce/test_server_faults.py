"""How the test server misbehaves when it is told to."""

from __future__ import annotations

import http.client
import json
import time
import uuid
from typing import Any
from urllib.error import URLError

import aiohttp
import pytest

from tests.clouds.endpoint import eventually
from tests.clouds.gce.behaviour import Behaviour, Fate
from tests.clouds.gce.client import Api, RefusedError, bulk, codes

LAUNCH = ["instances.bulkInsert"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("reset_share", (URLError, ConnectionError)),
        ("truncate_share", json.JSONDecodeError),
        ("abort_share", http.client.IncompleteRead),
    ],
)
def test_an_answer_is_lost_but_the_instances_are_there(
    api: Api, fault: str, error: Any
) -> None:
    changes: dict[str, Any] = {fault: 1.0, "actions": LAUNCH, "times": 1}
    api.endpoint.behave(**changes)
    request = str(uuid.uuid4())
    with pytest.raises(error):
        api.order("a", "b", requestId=request)
    assert api.names() == ["a", "b"]
    (first,) = api.endpoint.instances()[:1]
    assert first["request"] == request

    assert codes(api.launch("a", "b", requestId=request)) == []
    assert len(api.endpoint.instances()) == 2


async def test_a_server_that_hangs_has_done_its_work(api: Api) -> None:
    api.endpoint.behave(hang_share=1.0, actions=LAUNCH)
    url = (
        f"{api.endpoint.api_root}projects/{api.project}/{api.zone}/instances/bulkInsert"
    )
    impatient = aiohttp.ClientTimeout(total=0.5)
    headers = {"Authorization": f"Bearer {api.token}"}
    async with aiohttp.ClientSession(timeout=impatient, headers=headers) as session:
        with pytest.raises(TimeoutError):
            await session.post(url, json=bulk(api.endpoint, ["a"]))

    assert api.names() == ["a"]


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("throttle_share", 403, "rateLimitExceeded"),
        ("unavailable_share", 503, "backendError"),
    ],
)
def test_a_request_is_refused_without_effect(
    api: Api, fault: str, status: int, reason: str
) -> None:
    changes: dict[str, Any] = {fault: 1.0, "actions": LAUNCH, "times": 1}
    api.endpoint.behave(**changes)
    with pytest.raises(RefusedError) as no:
        api.order("a")
    assert (no.value.status, no.value.reason) == (status, reason)
    assert api.names() == []

    assert codes(api.launch("a")) == []


def test_requests_are_counted_in_windows(api: Api) -> None:
    api.endpoint.behave(rate_limit=3, rate_window=1e7)
    refusals = []
    for _ in range(5):
        try:
            api.names()
        except RefusedError as no:
            refusals.append(no)
    assert [no.reason for no in refusals] == ["rateLimitExceeded"] * 2
    assert refusals[0].details[0]["reason"] == "RATE_LIMIT_EXCEEDED"
    api.endpoint.behave(rate_window=0.2)

    def served() -> bool:
        try:
            return api.names() == []
        except RefusedError:
            return False

    eventually(served)


def test_so_many_operations_may_be_under_way(api: Api) -> None:
    api.endpoint.behave(operations_limit=2, operation_seconds=0.8)
    first = api.order("a")  # its own operation, and that of its instance
    with pytest.raises(RefusedError) as no:
        api.order("b")
    assert no.value.reason == "rateLimitExceeded"
    reason = no.value.details[0]["reason"]
    assert reason == "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED"
    api.done(first)

    assert codes(api.launch("b")) == []


def test_tokens_fail_only_when_they_are_named(api: Api) -> None:
    api.endpoint.behave(unavailable_share=1.0)
    Api.of(api.endpoint)
    api.endpoint.behave(actions=["token"])
    with pytest.raises(URLError):
        Api.of(api.endpoint)
    assert api.names() == []


def test_latency_is_added_to_each_request(api: Api) -> None:
    api.endpoint.behave(latency=0.3)
    begun = time.monotonic()
    api.names()

    assert time.monotonic() - begun >= 0.3


def test_fate_repeats_itself_from_one_seed() -> None:
    amounts = {"BAD": 0.5, "instances.delete/WORSE": 1}

    def drawn(seed: int) -> list[str]:
        behaviour = Behaviour(seed=seed, throttle_share=0.5, operation_errors=amounts)
        fate = Fate(behaviour)
        found = [fate.before("instances.list") for _ in range(20)]
        return found + [fate.of_operation("instances.insert") for _ in range(20)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert set(drawn(1)) == {"", "throttle", "BAD"}
    fate = Fate(Behaviour(operation_errors=amounts))
    assert fate.of_operation("instances.delete") == "WORSE"
    assert fate.of_operation("instances.delete") == ""


@pytest.mark.parametrize(
    "change",
    [{"no_such": 1}, {"latency": -1.0}, {"capacity": 3}, {"quota_early": 1}],
)
def test_a_behaviour_that_does_not_exist_is_refused(
    api: Api, change: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        api.endpoint.behave(**change)


def test_a_behaviour_is_as_it_was_set(api: Api) -> None:
    api.endpoint.behave(capacity={"": 3}, unreachable=["us-central1-a"], latency=0)
    found = api.endpoint.behaviour()

    assert found["capacity"] == {"": 3}
    assert found["unreachable"] == ["us-central1-a"]


def test_the_log_of_requests_tells_no_secrets(api: Api) -> None:
    secret = {"items": [{"key": "user-data", "value": "a secret"}]}
    order = bulk(api.endpoint, ["a"], metadata=secret)
    api.endpoint.forget_requests()
    api.ask("POST", f"{api.zone}/instances/bulkInsert", order)
    (entry,) = api.endpoint.requests()

    assert entry["action"] == "instances.bulkInsert"
    assert (entry["status"], entry["project"]) == (200, "first-project")
    assert entry["parameters"]["body"]["count"] == "1"
    assert "a secret" not in json.dumps(entry)
    assert api.token not in json.dumps(entry)
    assert api.endpoint.cpu()["server"] > 0
