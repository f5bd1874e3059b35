"""How the test server misbehaves when it is told to."""

from __future__ import annotations

from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from tests.clouds.ec2.behaviour import Behaviour, Fate
from tests.clouds.ec2.buckets import Buckets
from tests.clouds.ec2.client import Api, refusal
from tests.clouds.ec2.refusals import RefusalError

LAUNCH = ["RunInstances"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("reset_share", ConnectionClosedError),
        ("truncate_share", ResponseParserError),
    ],
)
def test_an_answer_is_lost_but_the_instances_are_there(
    api: Api, fault: str, error: type[Exception]
) -> None:
    changes: dict[str, Any] = {fault: 1.0, "actions": LAUNCH, "times": 1}
    api.endpoint.behave(**changes)
    with pytest.raises(error):
        api.launch(2, ClientToken="once")

    assert len(api.where("client-token", "once")) == 2
    assert len(api.launch(2, ClientToken="once")) == 2
    assert len(api.listed()) == 2


async def test_an_answer_breaks_off(api: Api) -> None:
    endpoint = api.endpoint
    endpoint.behave(abort_share=1.0, actions=LAUNCH)
    session = get_session()
    async with session.create_client(
        "ec2",
        region_name=endpoint.region,
        endpoint_url=endpoint.url,
        aws_access_key_id=endpoint.access_key,
        aws_secret_access_key=endpoint.secret_key,
        config=AioConfig(retries={"total_max_attempts": 1}),
    ) as ec2:
        with pytest.raises(ConnectionClosedError):  # boto3 would not notice
            await ec2.run_instances(
                ImageId=endpoint.image_id,
                InstanceType=endpoint.flavor,
                MinCount=2,
                MaxCount=2,
            )

    assert len(api.listed()) == 2


def test_a_server_that_hangs_has_done_its_work(api: Api) -> None:
    api.endpoint.behave(hang_share=1.0, actions=LAUNCH)
    impatient = Api.of(api.endpoint, read_timeout=0.5)
    with pytest.raises(ReadTimeoutError):
        impatient.launch(2)
    impatient.ec2.close()

    assert len(api.listed()) == 2


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("throttle_share", "RequestLimitExceeded"),
        ("unavailable_share", "Unavailable"),
    ],
)
def test_a_request_is_refused_so_often(api: Api, fault: str, code: str) -> None:
    changes: dict[str, Any] = {fault: 1.0, "times": 2}
    api.endpoint.behave(**changes)

    assert [refusal(api.launch), refusal(api.launch)] == [code, code]
    assert len(api.launch()) == 1
    assert [one["status"] for one in api.endpoint.requests()] == [503, 503, 200]


def test_a_seed_makes_runs_alike() -> None:
    behaviour = Behaviour(throttle_share=0.5, seed=7)
    first, second = Fate(behaviour), Fate(behaviour)
    drawn = [first.before("any") for _ in range(100)]

    assert drawn == [second.before("any") for _ in range(100)]
    assert 20 < drawn.count("throttle") < 80


def test_an_unknown_behaviour_is_refused(api: Api) -> None:
    before = api.endpoint.behaviour()
    for wrong in ({"mood": 1}, {"latency": "long"}, {"times": True}):
        with pytest.raises(ValueError, match=r"mood|latency|times"):
            api.endpoint.behave(**wrong)

    assert api.endpoint.behaviour() == before


def test_the_buckets_hold_over_the_wire(api: Api) -> None:
    api.endpoint.behave(throttle=True)
    for _ in range(5):
        api.launch()
    codes = []
    while "RequestLimitExceeded" not in codes:
        codes.append(api.endpoint.requests("RunInstances")[-1]["code"])
        assert len(codes) < 50
        try:
            api.launch()
        except api.ec2.exceptions.ClientError:
            continue

    api.endpoint.behave(throttle=False)
    assert len(api.launch()) == 1


class Clock:
    """A clock that stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def taken(buckets: Buckets, action: str, most: int, **parameters: Any) -> int:
    """Return how many requests pass before one is refused."""
    for number in range(most):
        try:
            buckets.take_request(action, parameters)
        except RefusalError:
            return number
    return most


def test_the_buckets_are_those_that_aws_publishes() -> None:
    clock = Clock()
    buckets = Buckets(clock)

    assert taken(buckets, "RunInstances", 200) == 5
    assert taken(buckets, "TerminateInstances", 200) == 100
    assert taken(buckets, "CreateTags", 200) == 100
    assert taken(buckets, "CreateSecurityGroup", 200) == 50
    assert taken(buckets, "DeleteKeyPair", 200) == 0
    assert taken(buckets, "DescribeInstances", 200) == 50
    assert taken(buckets, "DescribeInstances", 200, MaxResults=1000) == 100
    clock.now += 2.0
    assert taken(buckets, "RunInstances", 200) == 4
    assert taken(buckets, "DescribeInstances", 200) == 20
    clock.now += 3600.0
    assert taken(buckets, "RunInstances", 200) == 5


def test_instances_are_counted_beside_requests() -> None:
    clock = Clock()
    buckets = Buckets(clock)
    for _ in range(10):
        buckets.take_resources("RunInstances", 100)
    with pytest.raises(RefusalError):
        buckets.take_resources("RunInstances", 1)
    clock.now += 50.0

    buckets.take_resources("RunInstances", 100)
