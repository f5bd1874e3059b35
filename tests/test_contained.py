"""How CI runs a step: in bounded time, and with nothing of it left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CI = Path(__file__).parent.parent / ".ci"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="CI runs on Linux")


#: As `.ci/contained.py SECONDS COMMAND`, but with less patience at the end.
HASTY = """
import contained, sys
contained.GRACE = 0.3
sys.exit(contained.main(float(sys.argv[1]), sys.argv[2:]))
"""


def contained(seconds: float, script: str) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, "-c", HASTY, str(seconds), "/bin/sh", "-c", script],
        cwd=CI,
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return ended.returncode, ended.stdout


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False

    return True


def test_a_step_says_and_returns_what_its_command_does() -> None:
    assert contained(20, "echo fine; exit 3") == (3, "fine\n")


def test_a_step_has_nothing_to_read() -> None:
    assert contained(20, "read line || echo nothing") == (0, "nothing\n")


def test_a_killed_command_is_told_as_a_shell_tells_it() -> None:
    assert contained(20, "kill -KILL $$")[0] == 128 + signal.SIGKILL


def test_a_step_that_leaves_a_process_fails_and_ends_it() -> None:
    status, said = contained(20, "trap '' TERM; setsid sleep 60 & echo $!")

    child, line = said.splitlines()
    assert (status, line) == (1, f"ci: left running: {child} sleep 60 ")
    assert not is_running(int(child))


def test_what_ends_by_itself_at_once_was_not_left() -> None:
    assert contained(20, "setsid sleep 0.1 &") == (0, "")


def test_a_step_that_takes_too_long_is_interrupted_first() -> None:
    status, said = contained(0.5, "trap 'echo so far; exit' INT; sleep 60")

    assert (status, said.splitlines()[-1]) == (124, "so far")


def test_a_step_that_hangs_is_ended_with_all_its_children() -> None:
    deaf = "trap '' INT; sleep 60 & echo $!; trap '' TERM; wait"
    status, said = contained(0.5, deaf)

    child, line = said.splitlines()[:2]
    assert (status, line.startswith("ci: 0 s are up: ")) == (124, True)
    assert not is_running(int(child))
