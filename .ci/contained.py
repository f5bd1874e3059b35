"""Run a command for at most so many seconds; end, name and count what it left running.

    python3 contained.py SECONDS COMMAND [ARGUMENT ...]

The exit status is the command's own, 124 when its time was up, or 1 when it succeeded
but left processes behind. Every descendant is seen, also one that made a session of its
own: the kernel hands orphans to the nearest "subreaper" (Linux), which this process is.
"""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
TIME_IS_UP = 124
GRACE = 10.0  # seconds: what is ending by itself at the end, or was asked to, may take


def main(seconds: float, command: list[str]) -> int:
    """Run the command, then see to what it left; return the exit status."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stopped)
    signal.signal(signal.SIGALRM, out_of_time)
    try:
        status = run(command, seconds)
        return 1 if wait_for_the_rest() and status == 0 else status
    finally:
        end_the_rest()


def run(command: list[str], seconds: float) -> int:
    """Return the command's exit status; interrupt it when its time is up."""
    pid = start(command)
    try:
        return wait_for(pid, seconds)
    except TimeoutError:
        say(f"{seconds:.0f} s are up: {' '.join(command)}")

    try:
        os.killpg(pid, signal.SIGINT)  # pytest then still says what has failed so far
        wait_for(pid, GRACE)
    except TimeoutError:
        pass
    return TIME_IS_UP


def say(line: str) -> None:
    """Print a line of the run's own, apart from what its commands print."""
    sys.stdout.write(f"ci: {line}\n")
    sys.stdout.flush()


def start(command: list[str]) -> int:
    """Start it without anything to read, in a session of its own; return its id."""
    nothing = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    return os.posix_spawnp(
        command[0], command, os.environ, file_actions=[nothing], setsid=True
    )


def stopped(number: int, frame: object) -> None:
    """Leave by an exception, so that the rest is ended on the way out."""
    sys.exit(128 + number)


def out_of_time(number: int, frame: object) -> None:
    """Break the wait for the command."""
    raise TimeoutError


def wait_for(pid: int, seconds: float) -> int:
    """Return the exit status of a child; bury adopted ones that end meanwhile."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        while True:
            ended, status = os.wait()
            if ended == pid:
                code = os.waitstatus_to_exitcode(status)
                return 128 - code if code < 0 else code
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def wait_for_the_rest() -> bool:
    """Give the rest a moment to end by itself; return whether some did not."""
    deadline = time.monotonic() + GRACE
    while (left := descendants()) and time.monotonic() < deadline:
        bury()
        time.sleep(0.05)
    for pid in left:
        say(f"left running: {pid} {command_line(pid)}")
    return bool(left)


def end_the_rest() -> None:
    """Ask every descendant to end, then end it."""
    deadline = time.monotonic() + GRACE
    asked: set[int] = set()
    while left := descendants():
        patient = time.monotonic() < deadline
        for pid in left - asked if patient else left:
            send(pid, signal.SIGTERM if patient else signal.SIGKILL)
        asked |= left
        time.sleep(0.05)
        bury()


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal, if there is still somebody to receive it."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def bury() -> None:
    """Collect the children that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        pass


def descendants() -> set[int]:
    """Return the ids of all living processes below this one."""
    parents = dict(filter(None, map(parent_of, Path("/proc").glob("[0-9]*"))))
    found, above = set[int](), {os.getpid()}
    while above:
        above = {pid for pid, parent in parents.items() if parent in above}
        found |= above
    return found


def parent_of(process: Path) -> tuple[int, int] | None:
    """Return a process and its parent; None: it has ended."""
    try:
        state, parent = (process / "stat").read_text().rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else (int(process.name), int(parent))


def command_line(pid: int) -> str:
    """Return what a process was started as."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return "(ended)"


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
