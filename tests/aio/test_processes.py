from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from itertools import repeat
from pathlib import Path
from typing import IO, Any

import anyio
import pytest

from aioelasticluster._aio.polling import poll
from aioelasticluster._aio.processes import Rung, end_marked, run_process

#: Tells that it runs, then treats the signals as told to.
PROGRAM = """
import signal, sys, time
def note(number, frame):
    print(signal.Signals(number).name, flush=True)
    if signal.Signals(number).name == sys.argv[1]:
        sys.exit(7)
signal.signal(signal.SIGINT, note)
signal.signal(signal.SIGTERM, note)
print("running", flush=True)
while True:
    time.sleep(60)
"""
LADDER = (
    Rung(signal=signal.SIGINT, grace=0.5),
    Rung(signal=signal.SIGTERM, grace=0.5),
    Rung(signal=signal.SIGKILL, grace=5.0),
)


def opened(folder: Path) -> IO[bytes]:
    return open(folder / "output", "ab")


async def run(command: list[str], folder: Path) -> int:
    with opened(folder) as output:
        return await run_process(
            command,
            environment=os.environ,
            folder=folder,
            output=output,
            ladder=LADDER,
        )


async def until_it_runs(folder: Path) -> None:
    async def check() -> bool | None:
        return "running" in printed(folder) or None

    with anyio.fail_after(10):
        await poll(check, pauses=repeat(0.01))


def printed(folder: Path) -> list[str]:
    path = folder / "output"
    return path.read_text().split() if path.exists() else []


async def test_the_status_is_returned_and_the_output_is_in_the_file(
    tmp_path: Path,
) -> None:
    assert await run(["sh", "-c", "echo out; echo err >&2; exit 3"], tmp_path) == 3
    assert sorted(printed(tmp_path)) == ["err", "out"]


async def test_a_program_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await run(["/nowhere/program"], tmp_path)


@pytest.mark.parametrize(
    ("heeds", "signals"),
    [
        ("SIGINT", ["SIGINT"]),
        ("SIGTERM", ["SIGINT", "SIGTERM"]),
        ("nothing", ["SIGINT", "SIGTERM"]),
    ],
)
async def test_a_cancelled_process_climbs_the_ladder_only_as_far_as_it_must(
    tmp_path: Path, heeds: str, signals: list[str]
) -> None:
    task = asyncio.create_task(run([sys.executable, "-c", PROGRAM, heeds], tmp_path))
    await until_it_runs(tmp_path)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert printed(tmp_path) == ["running", *signals]


async def cancelled_twice(work: Coroutine[Any, Any, int], folder: Path) -> None:
    task = asyncio.create_task(work)
    await until_it_runs(folder)
    task.cancel()
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def cancelled_by_a_scope(work: Coroutine[Any, Any, int], folder: Path) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: work)
        await until_it_runs(folder)
        group.cancel_scope.cancel()


async def cancelled_by_a_timeout(work: Coroutine[Any, Any, int], folder: Path) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await work


@pytest.mark.parametrize(
    "cancelled", [cancelled_twice, cancelled_by_a_scope, cancelled_by_a_timeout]
)
async def test_however_it_is_cancelled_the_process_has_ended_before_we_go_on(
    tmp_path: Path, cancelled: Callable[..., Coroutine[Any, Any, None]]
) -> None:
    work = run([sys.executable, "-c", PROGRAM, "SIGTERM"], tmp_path)
    await cancelled(work, tmp_path)
    assert printed(tmp_path) == ["running", "SIGINT", "SIGTERM"]


def started(*command: str, mark: str = "") -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, and wait until it says a word."""
    process = subprocess.Popen(
        ["sh", "-c", f"echo running; {' '.join(command)}"],
        env={**os.environ, "AIOEC_RUN": mark},
        start_new_session=True,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    process.stdout.readline()
    return process


async def test_marked_processes_end_even_in_sessions_of_their_own(
    tmp_path: Path,
) -> None:
    mark = str(tmp_path)
    deaf = "trap '' TERM; while :; do sleep 1; done"
    marked = [started("exec sleep 60", mark=mark), started(deaf, mark=mark)]
    other = started("exec sleep 60")
    try:
        began = time.monotonic()
        await end_marked(f"AIOEC_RUN={mark}", grace=0.5)
        assert [process.wait(1) for process in marked] == [-15, -9]
        assert time.monotonic() - began < 2
        assert other.poll() is None
    finally:
        for process in (*marked, other):
            process.kill()
            process.communicate()
