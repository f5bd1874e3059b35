"""The one process runner: a child in a group of its own, stopped by a ladder."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from aioelasticluster._aio.blocking import Blocking
from aioelasticluster._aio.finish import finish

#: How long (seconds) starting a process may take.
START_PATIENCE = 30.0

_in_thread = Blocking(width=4, patience=60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One step of the ladder: a signal, and how long its effect is waited for."""

    signal: signal.Signals
    grace: float


#: Ask, insist, end. Asked twice, for Python loses an interrupt that comes at a bad
#: moment (while it forks, in a destructor), and Ansible's does now and then.
LADDER = (
    Rung(signal=signal.SIGINT, grace=2.0),
    Rung(signal=signal.SIGINT, grace=4.0),
    Rung(signal=signal.SIGTERM, grace=3.0),
    Rung(signal=signal.SIGKILL, grace=5.0),
)


async def run_process(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    output: IO[bytes],
    pass_fds: Sequence[int] = (),
    ladder: Sequence[Rung] = LADDER,
) -> int:
    """Run a command to its end and return its exit status (-N: by signal N).

    It gets a session and a process group of its own, no input, and writes both its
    streams to `output`. On cancellation the group is stopped by the ladder, and only
    then does the cancellation go on.
    """
    started: list[Process] = []

    async def start() -> None:
        started.append(
            await asyncio.create_subprocess_exec(
                *command,
                env=dict(environment),
                cwd=folder,
                stdin=DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=tuple(pass_fds),
                start_new_session=True,
            )
        )

    try:
        await finish(start(), patience=START_PATIENCE)
        return await started[0].wait()
    finally:
        for process in started:
            if process.returncode is None:
                patience = sum(rung.grace for rung in ladder) + 5.0
                await finish(_stop(process, ladder), patience=patience)


async def _stop(process: Process, ladder: Sequence[Rung]) -> None:
    for rung in ladder:
        try:
            os.killpg(process.pid, rung.signal)
        except ProcessLookupError:
            pass  # ended by itself; what is left to do is to wait for its status
        try:
            async with asyncio.timeout(rung.grace):
                await process.wait()
        except TimeoutError:
            continue
        return


async def end_marked(mark: str, *, grace: float = 3.0) -> None:
    """End every process whose environment holds `mark`, TERM first, then KILL.

    Some children leave their parent's group and session on purpose (Ansible's
    workers, OpenSSH's connection masters); their environment is what they keep.
    """
    work = _in_thread(sweep, mark, grace=grace)
    await finish(work, patience=2 * grace + 30.0)


def sweep(mark: str, *, grace: float = 3.0) -> None:
    """Do what `end_marked` does, and block meanwhile."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + grace
        told: set[int] = set()
        while alive := set(marked(mark)):
            for pid in alive - told:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
            told |= alive
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)


def marked(mark: str) -> Iterator[int]:
    """Yield the processes of this user that carry the mark, never this one."""
    in_proc = Path("/proc/self/environ").exists()
    found = (_marked_in_proc if in_proc else _marked_by_ps)(mark.encode())
    return (pid for pid in found if pid != os.getpid())


def _marked_in_proc(mark: bytes) -> Iterator[int]:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                environment = Path(entry.path, "environ").read_bytes()
            except OSError:
                continue  # another user's, or gone
            if mark in environment:
                yield int(entry.name)


def _marked_by_ps(mark: bytes) -> Iterator[int]:
    command = ["ps", "-axwwE", "-o", "pid=,command="]
    listed = subprocess.run(command, capture_output=True, check=False).stdout
    for line in listed.splitlines():
        if mark in line:
            yield int(line.split(maxsplit=1)[0])
