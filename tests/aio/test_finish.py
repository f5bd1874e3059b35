"""The one shield: it holds against every way of cancelling, but not for ever."""

from __future__ import annotations

import asyncio
import time

import anyio
import pytest

from aioelasticluster._aio.finish import finish
from aioelasticluster.errors import UnknownOutcomeError
from aioelasticluster.testing.cancelling import WAYS, cancelled
from aioelasticluster.testing.virtual_time import VirtualTimeLoop


class Journal:
    """Work in two steps that must not be parted."""

    def __init__(self) -> None:
        self.written: list[str] = []

    async def act(self, seconds: float) -> str:
        self.written.append("sent")
        await anyio.sleep(seconds)
        self.written.append("recorded")
        return "answer"


class TestInVirtualTime:
    @pytest.fixture
    def anyio_backend(self) -> tuple[str, dict[str, object]]:
        return "asyncio", {"loop_factory": VirtualTimeLoop}

    async def test_it_returns_what_the_work_returns(self) -> None:
        assert await finish(Journal().act(5), patience=10) == "answer"

    async def test_it_raises_what_the_work_raises(self) -> None:
        async def fail() -> None:
            await anyio.sleep(1)
            raise KeyError("x")

        with pytest.raises(KeyError):
            await finish(fail(), patience=10)

    @pytest.mark.parametrize("way", WAYS)
    async def test_work_ends_before_the_cancellation_is_raised(self, way: str) -> None:
        journal, began = Journal(), anyio.current_time()
        after_work = False

        async def use() -> None:
            nonlocal after_work
            await finish(journal.act(20), patience=60)
            # A scope's cancellation comes at the next checkpoint, others at once.
            await anyio.sleep(1)
            after_work = True

        assert await cancelled(way, use(), after=5)
        assert journal.written == ["sent", "recorded"]
        assert anyio.current_time() - began == pytest.approx(20)
        assert not after_work

    @pytest.mark.parametrize("way", WAYS)
    async def test_a_cancellation_counts_also_when_the_work_fails(
        self, way: str
    ) -> None:
        async def fail() -> None:
            await anyio.sleep(20)
            raise KeyError("x")

        call = cancelled(way, finish(fail(), patience=60), after=5)
        if way == "anyio scope":  # shielded: the scope has not delivered it yet
            with pytest.raises(KeyError):
                await call
        else:
            assert await call

    @pytest.mark.parametrize("way", WAYS)
    async def test_patience_has_an_end(self, way: str) -> None:
        journal, began = Journal(), anyio.current_time()
        with pytest.raises(UnknownOutcomeError, match="30 s"):
            await cancelled(way, finish(journal.act(600), patience=30), after=5)
        assert anyio.current_time() - began == pytest.approx(30)
        assert journal.written == ["sent"]

    async def test_patience_ends_without_any_cancellation_too(self) -> None:
        with pytest.raises(UnknownOutcomeError):
            await finish(Journal().act(600), patience=30)

    async def test_abandoned_work_is_cancelled_and_may_clean_up(self) -> None:
        cleaned = False

        async def work() -> None:
            nonlocal cleaned
            try:
                await anyio.sleep(600)
            finally:
                await asyncio.sleep(0.5)
                cleaned = True

        with pytest.raises(UnknownOutcomeError):
            await finish(work(), patience=30)
        assert cleaned

    async def test_abandoned_work_that_hangs_on_is_left_after_a_second(self) -> None:
        release = asyncio.Event()

        async def work() -> None:
            try:
                await anyio.sleep(600)
            finally:
                await release.wait()
                raise KeyError("nobody is left to see this")

        began, others = anyio.current_time(), asyncio.all_tasks()
        with pytest.raises(UnknownOutcomeError):
            await finish(work(), patience=30)
        assert anyio.current_time() - began == pytest.approx(31)
        assert len(asyncio.all_tasks() - others) == 1  # shut-down will find it
        release.set()
        await asyncio.sleep(1)  # an unseen exception would fail the test here

    async def test_a_cancellation_while_work_is_abandoned_is_not_a_way_out(
        self,
    ) -> None:
        cleaned = False

        async def work() -> None:
            nonlocal cleaned
            try:
                await anyio.sleep(600)
            finally:
                await asyncio.sleep(0.5)
                cleaned = True

        task = asyncio.create_task(finish(work(), patience=30))
        asyncio.get_running_loop().call_later(30.2, task.cancel)
        with pytest.raises(UnknownOutcomeError):
            await task
        assert cleaned

    async def test_an_outer_timeout_is_still_a_timeout(self) -> None:
        journal = Journal()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await finish(journal.act(20), patience=60)
        assert journal.written == ["sent", "recorded"]

    async def test_work_may_have_timeouts_of_its_own(self) -> None:
        async def work() -> str:
            with anyio.move_on_after(2):
                await anyio.sleep(600)
            try:
                async with asyncio.timeout(2):
                    await anyio.sleep(600)
            except TimeoutError:
                pass
            return "in time"

        assert await finish(work(), patience=5) == "in time"

    async def test_a_task_group_around_it_ends_in_order(self) -> None:
        journal = Journal()

        async def fail() -> None:
            await anyio.sleep(5)
            raise KeyError("x")

        async def together() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(finish(journal.act(20), patience=60))
                group.create_task(fail())

        with pytest.raises(ExceptionGroup) as raised:
            await together()
        assert raised.value.subgroup(KeyError) is not None
        assert journal.written == ["sent", "recorded"]


async def test_waiting_in_a_cancelled_scope_costs_no_processor_time() -> None:
    began = time.process_time()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await finish(asyncio.sleep(0.3), patience=10)
    # Without the inner shield this loop spins: measured, all of the 0.3 s.
    assert time.process_time() - began < 0.1


def test_work_outlives_the_end_of_its_asyncio_run() -> None:
    journal = Journal()

    async def main() -> asyncio.Task[str]:
        task = asyncio.create_task(finish(journal.act(0.05), patience=10))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return task

    task = asyncio.run(main())
    assert journal.written == ["sent", "recorded"]
    assert task.cancelled()
