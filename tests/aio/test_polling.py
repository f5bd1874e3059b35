"""The one poll loop and its pauses."""

from __future__ import annotations

from itertools import islice, repeat

import anyio
import pytest

from aioelasticluster._aio.polling import backoff, poll
from aioelasticluster.testing.virtual_time import VirtualTimeLoop


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


async def test_it_asks_until_there_is_an_answer() -> None:
    answers = iter([None, None, 0])

    async def check() -> int | None:
        return next(answers)

    began = anyio.current_time()
    assert await poll(check, pauses=repeat(5.0)) == 0  # only None is no answer
    assert anyio.current_time() - began == pytest.approx(10)


async def test_an_answer_at_once_costs_no_pause() -> None:
    async def check() -> str:
        return "there"

    began = anyio.current_time()
    assert await poll(check, pauses=repeat(5.0)) == "there"
    assert anyio.current_time() == began


async def test_the_deadline_is_the_callers() -> None:
    asked = 0

    async def check() -> None:
        nonlocal asked
        asked += 1

    with pytest.raises(TimeoutError), anyio.fail_after(600):
        await poll(check, pauses=repeat(60.0))
    assert asked == 10


async def test_what_the_check_raises_ends_it() -> None:
    async def check() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await poll(check, pauses=repeat(1.0))


def test_pauses_grow_to_the_longest_and_differ() -> None:
    pauses = list(islice(backoff(1, 15), 40))
    assert 0.8 <= pauses[0] <= 1.2
    assert all(12 <= pause <= 18 for pause in pauses[10:])
    assert len(set(pauses)) == 40


def test_pauses_shrink_where_the_first_is_the_longest() -> None:
    pauses = list(islice(backoff(10, 1), 20))
    assert 8 <= pauses[0] <= 12
    assert all(0.8 <= pause <= 1.2 for pause in pauses[8:])
