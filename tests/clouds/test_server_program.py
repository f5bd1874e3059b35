"""The test servers as programs: they never outlive whom they serve."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.clouds.ec2.running import running_ec2
from tests.clouds.endpoint import Endpoint, eventually, why_no_hosts
from tests.clouds.gce.running import running_gce

_ROOT = Path(__file__).parents[2]

Run: TypeAlias = Callable[[], AbstractContextManager[Endpoint]]

_PROGRAM = """
import sys
from {module} import {name}

with {name}(hosts=len(sys.argv) > 1) as endpoint:
    print(endpoint.pid, flush=True)
    sys.stdin.read()
"""

each_server = pytest.mark.parametrize(
    "run", [running_ec2, running_gce], ids=["ec2", "gce"]
)


def serves(pid: int) -> bool:
    """Tell whether a process runs, or one that it has started."""
    found = subprocess.run(
        ["ps", "-o", "stat=", "--pid", str(pid), "--ppid", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    return any(not stat.startswith("Z") for stat in found.stdout.split())


@each_server
@pytest.mark.parametrize("arguments", [[], ["hosts"]], ids=["alone", "with hosts"])
def test_it_ends_with_a_user_that_is_killed(
    run: Run, arguments: list[str], tmp_path: Path
) -> None:
    if arguments and (reason := why_no_hosts()):
        pytest.skip(reason)
    program = _PROGRAM.format(module=run.__module__, name=run.__name__)
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
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


@each_server
def test_it_ends_with_a_test_that_fails(run: Run) -> None:
    pids = []

    def failing() -> None:
        with run() as endpoint:
            pids.append(endpoint.pid)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()

    assert not serves(pids[0])
