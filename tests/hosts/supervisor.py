"""Runs one container engine, tells where it is, and ends it with its own input.

The engine has namespaces of its own: its bridges, firewall rules, mounts and processes
are not this machine's, and all of them are gone as soon as its first process is. What
it leaves is its data (images) in the tests' cache.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn

from tests.hosts.contents import sweep
from tests.hosts.engines import ENGINES, Engine, socket_in, told
from tests.hosts.kernel import FORWARDING, WATCHES, at_least
from tests.hosts.links import linked, other_engines
from tests.hosts.slots import Slot, free_slot

#: How long (seconds) an engine may take to answer, and to end.
_START, _END = 60.0, 15.0

#: What comes before an engine: folders of its own where all engines would use the same
#: ones, and its line, or it would not find the addresses of its own machine.
_GATE = """\
for folder in /run/netns /run/containers /dev/shm; do
  mount -t tmpfs tmpfs $folder
done
while ! ip link show eth0 >/dev/null 2>&1; do sleep 0.02; done
exec "$@"
"""

#: The folders of these, where a machine without Podman has none.
_HIDDEN = (Path("/run/netns"), Path("/run/containers"))

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(name: str) -> None:
    """Serve until standard input ends, or a signal comes."""
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    for one in _SIGNALS:
        signal.signal(one, _leave)
    threading.Thread(target=_leave_with_input, daemon=True).start()
    with ExitStack() as stack:
        for setting, value in ((FORWARDING, 1), (WATCHES, 8192)):
            stack.enter_context(at_least(setting, value, other_engines))
        slot = stack.enter_context(free_slot(name))
        run = stack.enter_context(_run_folder())
        pid = stack.enter_context(_engine(ENGINES[name], slot, run))
        stack.enter_context(linked(slot, pid))
        _wait_for(run)
        url = f"unix://{socket_in(run)}"
        sweep(url)  # what a killed run has left
        sys.stdout.write(told(url, pid, run) + "\n")
        sys.stdout.flush()
        try:
            threading.Event().wait()
        finally:
            sweep(url)


def _leave(number: int, frame: object) -> NoReturn:
    """Leave by an exception, so that everything is ended on the way out."""
    for one in _SIGNALS:
        signal.signal(one, signal.SIG_IGN)
    sys.exit(0)


def _leave_with_input() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _run_folder() -> Iterator[Path]:
    """Give a folder with a short name: sockets' addresses have a limit."""
    path = Path(tempfile.mkdtemp(prefix="aioec-", dir="/tmp"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _engine(engine: Engine, slot: Slot, run: Path) -> Iterator[int]:
    """Run an engine for the block; yields its process, the first of its namespace."""
    command, environment = engine.command(slot, run)
    apart = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc"]
    log = slot.folder / "log"
    with log.open("wb") as output, _traceless():
        process = subprocess.Popen(
            [*apart, "--kill-child", "sh", "-c", _GATE, "engine", *command],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield _child_of(process.pid)
        finally:
            _end(process)


def _child_of(pid: int) -> int:
    """Return the only child of a process, once it is there."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline:
        if found := listed.read_text().split():
            return int(found[0])
        time.sleep(0.01)
    raise RuntimeError("the engine's namespaces cannot be made")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the engine to end, then end all that is in its namespace."""
    try:
        os.kill(_child_of(process.pid), signal.SIGTERM)
        process.wait(_END)
    except (OSError, RuntimeError, subprocess.TimeoutExpired):
        process.kill()  # which ends its child, and that ends all the rest
        process.wait()


@contextmanager
def _traceless() -> Iterator[None]:
    """Remove what an engine leaves outside of its namespaces.

    These are control groups, and folders over which it mounts its own.
    """
    before = _control_groups()
    hidden = [path for path in _HIDDEN if not path.exists()]
    for path in hidden:
        path.mkdir()
    try:
        yield
    finally:
        for path in hidden:
            path.rmdir()
        for path in sorted(_control_groups() - before, reverse=True):
            try:
                path.rmdir()
            except OSError:
                pass  # another engine's, which is in use


def _control_groups() -> set[Path]:
    """Return the groups in which engines put containers."""
    root = Path("/sys/fs/cgroup")
    tops = [root, *root.glob("*/")]
    names = ("docker", "libpod_parent", "machine.slice", "system.slice")
    found = {top / name for top in tops for name in names if (top / name).is_dir()}
    return found | {Path(folder) for path in found for folder, _, _ in os.walk(path)}


def _wait_for(run: Path) -> None:
    """Wait until the engine accepts; raises RuntimeError."""
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as line:
            try:
                line.connect(str(socket_in(run)))
            except OSError:
                time.sleep(0.05)
            else:
                return
    raise RuntimeError("the engine does not answer")


if __name__ == "__main__":
    main(sys.argv[1])
