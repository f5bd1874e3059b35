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
    """One process of one boot of one host; `user` is only for people to read."""

    user: str
    host: str
    boot: str
    pid: int
    start: str

    @classmethod
    def current(cls) -> Self:
        """Return the identity of this process; cheap after the first time."""
        user, host, boot, start = _facts_of(os.getpid())
        return cls(user=user, host=host, boot=boot, pid=os.getpid(), start=start)

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
        """Whether the process is (or was) one of this host, as this process sees it."""
        return self.host == _host()

    @property
    def dead(self) -> bool:
        """Whether it is known to be dead; False where this process cannot know.

        Looks into the process table: not for the event loop.
        """
        if not self.here:
            return False

        return self.boot != _boot() or not _may_run(self.pid, self.start)

    def __str__(self) -> str:
        return f"process {self.pid} of {self.user} on host {self.host}"


@cache
def _facts_of(pid: int) -> tuple[str, str, str, str]:
    """Return user, host, boot and start; by pid, since a forked child has its own."""
    return _user(), _host(), _boot(), _start_of(pid) or "0"


def _user() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        name = f"uid{os.getuid()}"
    plain = (char if char.isascii() and char.isalnum() else "_" for char in name)
    return "".join(plain).lower()[:12]


def _host() -> str:
    """Return a digest of the host's name and of the pids that this process sees.

    Containers may share a host's name, but then the same pid is another process.
    """
    try:
        pids = os.readlink("/proc/self/ns/pid")
    except OSError:
        pids = ""
    return _digest(socket.gethostname() + pids)


@cache
def _boot() -> str:
    """Return a digest of what tells this boot of the host from all others."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        # kern.boottime is the last resort: it moves whenever the clock is set.
        boot = _asked("sysctl", "-n", "kern.bootsessionuuid") or _asked(
            "sysctl", "-n", "kern.boottime"
        )
    return _digest(boot)


def _may_run(pid: int, start: str) -> bool:
    """Tell whether the process that started then may still run."""
    if (found := _start_of(pid)) is not None:
        return found == start

    # Not to be seen: ended, or another user's on a host that hides those (hidepid).
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        pass
    return False


def _start_of(pid: int) -> str | None:
    """Return when a process started (an opaque text), None if it is not to be seen."""
    try:
        # Behind the command's name, which may hold anything, come the other fields.
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if stat[0] in "ZX" else stat[19]
    except (OSError, IndexError):
        pass
    if Path("/proc/self/stat").exists():
        return None

    started = _asked("ps", "-o", "lstart=", "-p", str(pid))
    return _digest(started) if started else None


def _asked(*command: str) -> str:
    """Return what a short system command prints; for systems without /proc."""
    # In one language and time zone, or two processes would read two start times.
    plain = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, check=False, env=plain
        )
    except OSError:
        return ""

    return answer.stdout.strip()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]
