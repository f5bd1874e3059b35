"""What is asked of EC2 within its limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import anyio
import pytest

from aioelasticluster._aio.tasks import together
from aioelasticluster.providers.buckets import TokenBucket
from aioelasticluster.providers.ec2.limits import limits_of
from aioelasticluster.providers.repeating import RetryBudget
from aioelasticluster.testing.cancelling import WAYS, cancelled


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture
def bucket() -> Callable[[], TokenBucket]:
    return lambda: TokenBucket(5, 2, clock=now)


async def test_the_burst_goes_at_once_and_the_rest_at_the_rate(
    bucket: Callable[[], TokenBucket],
) -> None:
    requests, began = bucket(), now()
    times: list[float] = []

    async def ask() -> None:
        await requests.take()
        times.append(now() - began)

    await together(*[ask] * 10)
    assert times == pytest.approx([0] * 5 + [0.5, 1.0, 1.5, 2.0, 2.5])


async def test_it_holds_no_more_than_the_burst(
    bucket: Callable[[], TokenBucket],
) -> None:
    requests = bucket()
    await anyio.sleep(100)
    began = now()
    for _ in range(6):
        await requests.take()
    assert now() - began == pytest.approx(0.5)


async def test_an_empty_bucket_must_refill_first(
    bucket: Callable[[], TokenBucket],
) -> None:
    requests, began = bucket(), now()
    requests.empty()
    await requests.take()
    assert now() - began == pytest.approx(0.5)


@pytest.mark.parametrize("way", WAYS)
async def test_who_is_cancelled_takes_nothing(
    way: str, bucket: Callable[[], TokenBucket]
) -> None:
    requests = bucket()
    await requests.take(5)
    await cancelled(way, requests.take(5), after=0.1)
    began = now()
    await requests.take()
    assert now() - began == pytest.approx(0.4)


def test_handles_on_one_account_share_its_limits() -> None:
    assert limits_of(("url", "region", "me")) is limits_of(("url", "region", "me"))
    assert limits_of(("url", "region", "me")) is not limits_of(("url", "region", "you"))


def test_repetitions_have_a_budget_that_answers_earn() -> None:
    budget = RetryBudget()
    spent = 0
    while budget.take():
        spent += 1
    assert spent == 50
    for _ in range(5):
        budget.answered()
    assert budget.take()
    assert not budget.take()
