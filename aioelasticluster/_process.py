"""Who this process is, and whether another one is still alive.

A process is named by host, boot, pid and start time: a pid alone is used again.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessIdentity:
    """One process of one boot of one host."""

    user: str
    host: str
    boot: str
    pid: int
    start: str

    @classmethod
    def current(cls) -> Self:
        """Return the identity of this process."""
        return cls(
            user=_plain(getpass.getuser())[:12],
            host=_digest(socket.gethostname()),
            boot=_digest(_boot_id()),
            pid=os.getpid(),
            start=_start_of(os.getpid()) or "0",
        )

    @classmethod
    def decoded(cls, text: str) -> Self | None:
        """Read `encoded` back; None if it is something else."""
        try:
            user, host, boot, pid, start = text.rsplit("-", 4)
            return cls(user=user, host=host, boot=boot, pid=int(pid), start=start)
        except ValueError:
            return None

    def encoded(self) -> str:
        """Return at most 60 characters of `[a-z0-9_-]`, as a tag can hold."""
        return f"{self.user}-{self.host}-{self.boot}-{self.pid}-{self.start}"

    @property
    def here(self) -> bool:
        """Whether the process is (or was) one of this host."""
        return self.host == _digest(socket.gethostname())

    @property
    def dead(self) -> bool:
        """Whether it is known to be dead; False for another host's process."""
        if not self.here:
            return False
        return self.boot != _digest(_boot_id()) or _start_of(self.pid) != self.start

    def __str__(self) -> str:
        return f"process {self.pid} of {self.user} on host {self.host}"


def _plain(text: str) -> str:
    return "".join(char if char.isalnum() else "_" for char in text.lower())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]


@cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return _asked("sysctl", "-n", "kern.boottime")


def _start_of(pid: int) -> str | None:
    """Return when a process started (an opaque text), None if there is none."""
    try:
        # Behind the command's name, which may hold anything, come the other fields.
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if stat[0] == "Z" else stat[19]
    except OSError:
        pass
    if Path("/proc/self/stat").exists():
        return None
    started = _asked("ps", "-o", "lstart=", "-p", str(pid))
    return _digest(started) if started else None


def _asked(*command: str) -> str:
    """Return what a short system command prints; for systems without /proc."""
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip()
