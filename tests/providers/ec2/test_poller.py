"""One poller for all clusters of an account."""

from __future__ import annotations

from itertools import pairwise

import anyio
import pytest

from aioelasticluster import TransientError
from aioelasticluster._aio.tasks import task_group
from aioelasticluster.providers.ec2.poller import Poller, Wanted
from aioelasticluster.testing.cancelling import WAYS, cancelled

IDS = {name: frozenset({f"i-{name}"}) for name in "abcd"}


class Cloud:
    """Answers slowly, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, Wanted]] = []
        self.failing = 0

    async def describe(self, wanted: Wanted) -> dict[str, list[str]]:
        self.asked.append((anyio.current_time(), dict(wanted)))
        await anyio.sleep(0.1)
        if self.failing:
            self.failing -= 1
            raise TransientError("not now")
        return {cluster: sorted(ids) for cluster, ids in wanted.items()}


async def test_who_asks_meanwhile_is_answered_together() -> None:
    poller, cloud = Poller(1.0), Cloud()
    answers: dict[str, object] = {}

    async def ask(cluster: str) -> None:
        answers[cluster] = await poller.ask(cluster, IDS[cluster], cloud.describe)

    async with task_group() as group:
        for cluster in IDS:
            group.start_soon(ask, cluster)
    assert answers == {cluster: sorted(ids) for cluster, ids in IDS.items()}
    assert len(cloud.asked) == 1


async def test_there_is_a_pause_between_two_requests() -> None:
    poller, cloud = Poller(1.0), Cloud()
    for _ in range(3):
        await poller.ask("a", IDS["a"], cloud.describe)
    times = [at for at, _ in cloud.asked]
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses == pytest.approx([1.0, 1.0])


async def test_whoever_joins_before_the_request_is_sent_is_in_it() -> None:
    poller, cloud = Poller(1.0), Cloud()
    await poller.ask("a", IDS["a"], cloud.describe)
    async with task_group() as group:
        group.start_soon(poller.ask, "a", IDS["a"], cloud.describe)
        await anyio.sleep(0.5)
        group.start_soon(poller.ask, "b", IDS["b"], cloud.describe)
    assert [set(wanted) for _, wanted in cloud.asked] == [{"a"}, {"a", "b"}]


async def test_an_error_is_everybodys() -> None:
    poller, cloud = Poller(1.0), Cloud()
    cloud.failing = 1
    heard: list[str] = []

    async def ask(cluster: str) -> None:
        try:
            await poller.ask(cluster, IDS[cluster], cloud.describe)
        except TransientError:
            heard.append(cluster)

    async with task_group() as group:
        for cluster in "ab":
            group.start_soon(ask, cluster)
    assert sorted(heard) == ["a", "b"]
    assert len(cloud.asked) == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("after", [0.0, 0.05, 0.5])
async def test_when_the_leader_is_cancelled_another_one_asks(
    way: str, after: float
) -> None:
    poller, cloud = Poller(1.0), Cloud()
    if after > 0.1:
        await poller.ask("c", IDS["c"], cloud.describe)
    answers: list[object] = []

    async def follow() -> None:
        await anyio.sleep(min(after, 0.05) / 2)
        answers.append(await poller.ask("b", IDS["b"], cloud.describe))

    async with task_group() as group:
        group.start_soon(follow)
        leading = poller.ask("a", IDS["a"], cloud.describe)
        await cancelled(way, leading, after=after)
    assert answers == [["i-b"]]
