"""Which processes belong to an instance: its server's descendants, and all that bear
its mark in their environment.

Both are needed: a daemon has left the server's tree where there is no subreaper, and
`env -i` drops the mark.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

#: The environment variable that marks an instance's processes with its id.
MARK = "AIOEC_INSTANCE"

#: How long (seconds) one process may take to stop before the next one's turn.
_STOPPING = 0.2

_PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 15, 36
_PS_LINE = re.compile(r"\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)")
_PS_MARK = re.compile(rf"(?:^|\s){MARK}=(\S+)")


@dataclass(frozen=True, slots=True)
class Process:
    """A live process: who started it, and the mark it bears."""

    pid: int
    parent: int
    mark: str


def adopt_orphans(name: str) -> None:
    """Become the parent of orphaned descendants, and take a name that `ps` shows."""
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    library.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    library.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def belonging_to(servers: Mapping[str, int | None]) -> dict[str, list[int]]:
    """Return each instance's live processes, those that started others first.

    `servers` maps an instance's id to the pid of its server, None if that is dead.
    """
    table = {process.pid: process for process in running()}
    roots = {pid: name for name, pid in servers.items() if pid is not None}
    found: dict[str, list[tuple[int, int]]] = {name: [] for name in servers}
    for pid in table:
        depth, owner = _owner(pid, table, roots, servers)
        if owner:
            found[owner].append((depth, pid))
    return {name: [pid for _, pid in sorted(pairs)] for name, pairs in found.items()}


def _owner(
    pid: int,
    table: Mapping[int, Process],
    roots: Mapping[int, str],
    names: Collection[str],
) -> tuple[int, str]:
    """Climb from a process to a server or a mark; return the distance and the id."""
    depth, owner, seen = 0, "", set[int]()
    while (process := table.get(pid)) is not None and pid not in seen:
        seen.add(pid)
        nearest = roots.get(pid) or (process.mark if process.mark in names else "")
        owner = owner or nearest
        if pid in roots:
            break
        depth, pid = depth + 1, process.parent
    return depth, owner


def running() -> Iterator[Process]:
    """Yield the live processes that we may look at; zombies are not alive."""
    if Path("/proc/self/environ").exists():
        return _from_proc()
    options = "-axwwE" if sys.platform == "darwin" else "axwwe"
    command = ["ps", options, "-o", "pid=,ppid=,stat=,command="]
    answer = subprocess.run(command, capture_output=True, check=False)
    return from_ps(answer.stdout.decode(errors="replace"))


def _from_proc() -> Iterator[Process]:
    mark = f"\0{MARK}=".encode()
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        stat = _stat(int(entry))
        if not stat or stat[0] in b"ZX":
            continue
        environment = b"\0" + _read(f"/proc/{entry}/environ")
        value = environment.partition(mark)[2].partition(b"\0")[0]
        yield Process(int(entry), int(stat[1]), value.decode(errors="replace"))


def _stat(pid: int) -> list[bytes]:
    """Return state, parent and the rest of what /proc says; empty if there is none."""
    # Behind the command's name, which may hold anything, come the other fields.
    return _read(f"/proc/{pid}/stat").rpartition(b")")[2].split(maxsplit=2)


def _read(path: str) -> bytes:
    """Return a file of /proc, empty if its process is gone or another user's."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return b"".join(iter(lambda: os.read(descriptor, 65536), b""))
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def from_ps(listing: str) -> Iterator[Process]:
    """Read what `ps` prints with the environment behind the command."""
    for line in listing.splitlines():
        if (found := _PS_LINE.match(line)) and not found[3].startswith("Z"):
            mark = _PS_MARK.search(found[4])
            yield Process(int(found[1]), int(found[2]), mark[1] if mark else "")


def send(pids: Collection[int], what: signal.Signals) -> None:
    """Signal processes; those that are gone or another user's are passed over."""
    for pid in pids:
        try:
            os.kill(pid, what)
        except (ProcessLookupError, PermissionError):
            continue


def stop(pids: Collection[int]) -> None:
    """Stop processes one after another, each before the next one.

    A shell that still ran when its child stopped would take the child for suspended
    by the user.
    """
    for pid in pids:
        send([pid], signal.SIGSTOP)
        deadline = time.monotonic() + _STOPPING
        while (stat := _stat(pid)) and stat[0] not in b"TtZX":
            if time.monotonic() > deadline:
                break
            time.sleep(0.0002)
