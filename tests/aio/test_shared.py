"""A shared resource: opened by the first user, closed by the last, on each loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from aioelasticluster._aio.shared import Shared
from aioelasticluster.testing.cancelling import WAYS, cancelled


class Resource:
    """Counts how often it is opened and closed; may take its time or fail."""

    def __init__(self, *, takes: float = 0.0, failures: int = 0) -> None:
        self.takes, self.failures = takes, failures
        self.opened = self.closed = 0
        self.shared = Shared(self.open)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[int]:
        await anyio.sleep(self.takes)
        if self.failures:
            self.failures -= 1
            raise ConnectionError("not today")

        self.opened += 1
        number = self.opened
        try:
            yield number
        finally:
            await anyio.sleep(self.takes)
            self.closed += 1


async def test_the_first_user_opens_and_the_last_closes() -> None:
    resource = Resource()
    async with resource.shared() as outer:
        async with resource.shared() as inner:
            assert (outer, inner, resource.shared.users) == (1, 1, 2)
        assert (resource.opened, resource.closed) == (1, 0)
    assert (resource.opened, resource.closed, resource.shared.users) == (1, 1, 0)


async def test_users_that_come_at_once_share_one() -> None:
    resource, numbers = Resource(takes=0.01), []
    all_there = asyncio.Barrier(5)

    async def use() -> None:
        async with resource.shared() as number:
            numbers.append(number)
            await all_there.wait()

    await asyncio.gather(*(use() for _ in range(5)))
    assert numbers == [1] * 5
    assert (resource.opened, resource.closed) == (1, 1)


async def test_it_can_be_opened_again() -> None:
    resource = Resource()
    for again in (1, 2, 3):
        async with resource.shared() as number:
            assert number == again
    assert resource.closed == 3


async def test_a_failed_opening_is_nobody_elses() -> None:
    resource = Resource(takes=0.01, failures=1)
    all_there = asyncio.Barrier(2)

    async def use() -> int:
        async with resource.shared() as number:
            await all_there.wait()
            return number

    results = await asyncio.gather(*(use() for _ in range(3)), return_exceptions=True)
    assert sum(isinstance(result, ConnectionError) for result in results) == 1
    assert results.count(1) == 2
    assert (resource.opened, resource.closed) == (1, 1)
    async with resource.shared() as number:
        assert number == 2


async def test_an_error_in_the_block_closes_too() -> None:
    resource = Resource()
    with pytest.raises(KeyError):
        async with resource.shared():
            raise KeyError("x")
    assert resource.closed == 1


async def test_nothing_is_a_value_like_any_other() -> None:
    @asynccontextmanager
    async def nothing() -> AsyncIterator[None]:
        yield

    async with Shared(nothing)() as value:
        assert value is None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("after", [0.0, 0.01, 0.03, 0.05])
async def test_a_cancellation_never_leaves_it_open(way: str, after: float) -> None:
    resource = Resource(takes=0.02)

    async def use() -> None:
        async with resource.shared():
            await anyio.sleep(0.02)

    await cancelled(way, use(), after=after)
    assert resource.opened == resource.closed
    assert resource.shared.users == 0


@pytest.mark.parametrize("way", WAYS)
async def test_one_users_cancellation_leaves_it_open_for_the_others(way: str) -> None:
    resource = Resource(takes=0.01)

    async def use() -> None:
        async with resource.shared():
            await anyio.sleep(10)

    async with resource.shared():
        await cancelled(way, use(), after=0.01)
        assert (resource.opened, resource.closed) == (1, 0)
    assert resource.closed == 1


def test_each_loop_has_its_own() -> None:
    resource = Resource()
    both = threading.Barrier(2)

    async def use() -> None:
        async with resource.shared():
            await asyncio.to_thread(both.wait)

    threads = [threading.Thread(target=asyncio.run, args=(use(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (resource.opened, resource.closed) == (2, 2)
