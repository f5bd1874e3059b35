"""The processes that an instance starts, and how it hears of their end.

The instance is a subreaper: it also gets the orphans of its sessions and must wait
for them. So one place waits for every child; asyncio's own watchers would not.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import termios
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

#: Takes what `os.waitstatus_to_exitcode` says: negative for a signal.
Ended = Callable[[int], None]


class Children:
    """Starts processes of one instance and reports their exit codes."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self.home = home
        self.environment = environment
        self._waiting: dict[int, tuple[subprocess.Popen[bytes], Ended]] = {}

    def watch(self) -> None:
        """Begin to hear of children's ends, on the running loop."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)

    def start(
        self,
        arguments: Sequence[str],
        ended: Ended,
        *,
        stdin: int,
        stdout: int | IO[bytes],
        stderr: int,
        extra: Mapping[str, str],
        terminal: bool = False,
    ) -> subprocess.Popen[bytes]:
        """Start a process in a session of its own, and call `ended` at its end."""
        process = subprocess.Popen(
            arguments,
            bufsize=0,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=self.home,
            env={**self.environment, **extra},
            start_new_session=True,
            preexec_fn=_take_terminal if terminal else None,
        )
        self._waiting[process.pid] = (process, ended)
        return process

    async def run(self, arguments: Sequence[str], output: Path) -> int:
        """Run a command to its end, its output into a file; return its exit code."""
        code = asyncio.get_running_loop().create_future()
        with output.open("ab") as file:
            self.start(
                arguments,
                code.set_result,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                extra={},
            )
        ended: int = await code
        return ended

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if (found := self._waiting.pop(pid, None)) is not None:
                process, ended = found
                process.returncode = os.waitstatus_to_exitcode(status)
                ended(process.returncode)


def _take_terminal() -> None:
    """Make standard input the controlling terminal (in the child, before exec)."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
