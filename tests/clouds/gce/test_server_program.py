"""The test server as a program: it never outlives whom it serves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clouds.gce.client import eventually
from tests.clouds.gce.running import running_gce, why_no_hosts

_ROOT = Path(__file__).parents[3]

_PROGRAM = """
import sys
from tests.clouds.gce.running import running_gce

with running_gce(hosts=len(sys.argv) > 1) as endpoint:
    print(endpoint.pid, flush=True)
    sys.stdin.read()
"""


def serves(pid: int) -> bool:
    """Tell whether a process runs, or one that it has started."""
    found = subprocess.run(
        ["ps", "-o", "stat=", "--pid", str(pid), "--ppid", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    return any(not stat.startswith("Z") for stat in found.stdout.split())


@pytest.mark.parametrize("arguments", [[], ["hosts"]], ids=["alone", "with hosts"])
def test_it_ends_with_a_user_that_is_killed(
    arguments: list[str], tmp_path: Path
) -> None:
    if arguments and (reason := why_no_hosts()):
        pytest.skip(reason)
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *arguments],
        cwd=_ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as user:
        assert user.stdout
        pid = int(user.stdout.readline())
        assert serves(pid)
        os.kill(user.pid, signal.SIGKILL)

    eventually(lambda: not serves(pid))


def test_it_ends_with_a_test_that_fails() -> None:
    pids = []

    def failing() -> None:
        with running_gce() as endpoint:
            pids.append(endpoint.pid)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()

    assert not serves(pids[0])
