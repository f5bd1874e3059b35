"""A cloud ends with whoever runs it, however that ends, and leaves nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.clouds.endpoint import eventually
from tests.clouds.openstack.processes import ROOT
from tests.clouds.openstack.rig import OpenStackRig
from tests.clouds.openstack.running import UnavailableError, running_openstack
from tests.clouds.openstack.sharing import MARKS
from tests.required import CACHE

pytestmark = MARKS

#: A test run that never ends by itself.
PROGRAM = """\
import json, os, sys, time
from tests.clouds.openstack.running import running_openstack
with running_openstack(computes=1) as rig:
    print(json.dumps({"pids": rig.pids, "folder": str(rig.folder)}), flush=True)
    time.sleep(3600)
"""


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], Any]]:
    """Start a program that runs a cloud; it ends with the block at the latest."""
    command = [sys.executable, *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def living(pids: dict[str, int]) -> set[str]:
    """Return which programs have not ended."""
    return {name for name, pid in pids.items() if alive(pid)}


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def test_nothing_is_left_of_a_run_that_is_killed(openstack_rig: OpenStackRig) -> None:
    with started("-c", PROGRAM) as (process, facts):
        assert living(facts["pids"]) == facts["pids"].keys()
        assert not set(facts["pids"].values()) & set(openstack_rig.pids.values())
        process.kill()

    eventually(lambda: not living(facts["pids"]))
    eventually(lambda: not Path(facts["folder"]).exists())
    assert living(dict(openstack_rig.pids)) == openstack_rig.pids.keys()


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGTERM, marks=pytest.mark.soak), signal.SIGKILL]
)
def test_no_service_outlives_its_supervisor(
    openstack_rig: OpenStackRig, number: signal.Signals
) -> None:
    module = "tests.clouds.openstack.running"
    with started("-m", module, "--computes=1") as (process, facts):
        os.kill(process.pid, number)

        process.wait()
        eventually(lambda: not living(facts["pids"]))
    assert Path(facts["folder"]).exists() == (number == signal.SIGKILL)
    shutil.rmtree(facts["folder"], ignore_errors=True)


def test_where_nothing_can_be_installed_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with (
        pytest.raises(UnavailableError, match=r"cannot be installed here: .*alembic"),
        running_openstack(),
    ):
        raise AssertionError
