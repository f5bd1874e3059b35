"""The bridge to blocking code: bounded, and waited for."""

from __future__ import annotations

import asyncio
import threading
import time
from contextvars import ContextVar

import pytest

from aioelasticluster._aio.blocking import Blocking
from aioelasticluster.errors import UnknownOutcomeError
from aioelasticluster.testing.cancelling import WAYS, cancelled

GREETING = ContextVar("greeting", default="none")


class Gate:
    """A blocking call that ends when it is told to."""

    def __init__(self) -> None:
        self.began, self.end = threading.Event(), threading.Event()
        self.ended = False

    def __call__(self) -> str:
        self.began.set()
        self.end.wait(10)
        self.ended = True
        return "answer"


async def test_it_runs_in_another_thread_with_its_arguments() -> None:
    def call(first: int, *, second: str) -> tuple[int, str, bool]:
        return first, second, threading.current_thread() is threading.main_thread()

    assert await Blocking(2, 10)(call, 1, second="b") == (1, "b", False)


async def test_it_raises_what_the_call_raises() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await Blocking(2, 10)(int, "x")


async def test_context_variables_go_along() -> None:
    GREETING.set("hello")
    assert await Blocking(2, 10)(GREETING.get) == "hello"


async def test_no_more_than_its_width_run_at_a_time() -> None:
    blocking, lock = Blocking(3, 10), threading.Lock()
    running = most = 0

    def call() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1

    await asyncio.gather(*(blocking(call) for _ in range(12)))
    assert most == 3


@pytest.mark.parametrize("way", WAYS)
async def test_a_cancelled_caller_waits_for_the_thread(way: str) -> None:
    gate = Gate()
    asyncio.get_running_loop().call_later(0.06, gate.end.set)
    await cancelled(way, Blocking(1, 10)(gate), after=0.01)
    assert gate.ended


@pytest.mark.parametrize("way", WAYS)
async def test_who_is_cancelled_in_the_queue_never_begins(way: str) -> None:
    blocking, first, second = Blocking(1, 10), Gate(), Gate()
    running = asyncio.create_task(blocking(first))
    await asyncio.to_thread(first.began.wait, 5)
    assert await cancelled(way, blocking(second), after=0.005)
    first.end.set()
    await running
    assert await blocking(lambda: "next") == "next"
    assert not second.began.is_set()


async def test_patience_does_not_run_in_the_queue() -> None:
    blocking = Blocking(1, 0.1)
    await asyncio.gather(*(blocking(time.sleep, 0.04) for _ in range(5)))


async def test_patience_has_an_end_but_the_thread_keeps_its_place() -> None:
    blocking, gate = Blocking(1, 0.03), Gate()
    with pytest.raises(UnknownOutcomeError):
        await blocking(gate)
    next_call = asyncio.create_task(blocking(lambda: gate.ended))
    await asyncio.sleep(0.02)
    assert not next_call.done()
    gate.end.set()
    assert await next_call is True


async def test_the_fault_of_an_abandoned_thread_is_nobodys() -> None:
    blocking, gate = Blocking(1, 0.01), Gate()

    def call() -> None:
        gate()
        raise KeyError("nobody is left to see this")

    with pytest.raises(UnknownOutcomeError):
        await blocking(call)
    gate.end.set()
    await blocking(lambda: None)  # an unseen exception would fail the test here


async def test_a_call_in_a_cancelled_scope_costs_no_processor_time() -> None:
    gate, blocking = Gate(), Blocking(1, 10)
    asyncio.get_running_loop().call_later(0.3, gate.end.set)
    began = time.process_time()
    await cancelled("anyio scope", blocking(gate), after=0.01)
    assert gate.ended
    assert time.process_time() - began < 0.1


def test_it_serves_one_loop_after_another() -> None:
    blocking = Blocking(1, 10)

    async def main() -> list[int]:
        return list(await asyncio.gather(*(blocking(int, "7") for _ in range(3))))

    assert [asyncio.run(main()) for _ in range(3)] == [[7] * 3] * 3


def test_the_end_of_asyncio_run_waits_for_the_thread() -> None:
    blocking, gate = Blocking(1, 10), Gate()

    async def main() -> None:
        call = asyncio.create_task(blocking(gate))
        await asyncio.to_thread(gate.began.wait, 5)
        threading.Timer(0.03, gate.end.set).start()
        assert not call.done()

    asyncio.run(main())
    assert gate.ended
