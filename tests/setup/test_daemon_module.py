"""The role's own Ansible module that keeps a process running."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aioelasticluster._aio.processes import sweep
from aioelasticluster.setup.environment import PLAYBOOKS

MODULE = PLAYBOOKS / "roles" / "python_service" / "library" / "aioec_daemon.py"

#: Writes its argument into the ready file and stays.
SERVER = (
    "import pathlib, sys, time; "
    "pathlib.Path('ready').write_text(sys.argv[1]); time.sleep(60)"
)


class Daemon:
    """Calls the module as Ansible does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def wanted(self, *words: str, **settings: Any) -> dict[str, Any]:
        command = list(words) or [sys.executable, "-c", SERVER, "on"]
        ready = str(self.folder / "ready")
        return self.module(**{"command": command, "ready": ready, **settings})

    def checked(self, program: str, **settings: Any) -> dict[str, Any]:
        """Have the process checked by a shell's program."""
        return self.module(check=["sh"], stdin=program, **settings)

    def module(self, **settings: Any) -> dict[str, Any]:
        folder = str(self.folder)
        arguments = {"name": "server", "folder": folder, "timeout": 10, **settings}
        path = self.folder / "arguments"
        path.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
        done = subprocess.run(
            [sys.executable, str(MODULE), str(path)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "AIOEC_TEST_DAEMON": str(self.folder)},
        )
        result: dict[str, Any] = json.loads(done.stdout)
        return result


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    yield Daemon(tmp_path)
    sweep(f"AIOEC_TEST_DAEMON={tmp_path}\0")


def alive(pid: int) -> bool:
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        )
    except OSError:
        return False


def test_it_starts_once_and_then_changes_nothing(daemon: Daemon) -> None:
    first = daemon.wanted()
    assert first["changed"]
    assert alive(first["pid"])
    second = daemon.wanted()
    assert not second["changed"]
    assert second["pid"] == first["pid"]


@pytest.mark.parametrize("reason", ["command", "environment", "build"])
def test_another_wish_restarts_it(daemon: Daemon, reason: str) -> None:
    wish = {
        "command": [sys.executable, "-c", SERVER, "more"],
        "environment": {"A": "b"},
        "build": "2",
    }
    first = daemon.wanted()
    second = daemon.wanted(**{reason: wish[reason]})
    assert second["changed"]
    assert not alive(first["pid"])
    assert alive(second["pid"])


def test_a_dead_one_is_started_again(daemon: Daemon) -> None:
    first = daemon.wanted()
    os.killpg(first["pid"], signal.SIGKILL)
    assert daemon.wanted()["changed"]


def test_another_process_of_the_same_pid_is_let_alone(daemon: Daemon) -> None:
    other = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        daemon.wanted()
        state = daemon.folder / "server.json"
        facts = json.loads(state.read_text())
        state.write_text(json.dumps({**facts, "pid": other.pid}))
        assert daemon.wanted()["changed"]
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_one_that_ends_at_once_is_a_failure_that_shows_its_log(daemon: Daemon) -> None:
    result = daemon.wanted("sh", "-c", "echo no such luck; exit 1")
    assert result["failed"]
    assert "it ended at once; its log ends: no such luck" in result["msg"]


def test_one_that_never_serves_is_a_failure(daemon: Daemon) -> None:
    result = daemon.wanted("sleep", "60", timeout=1)
    assert "it does not serve" in result["msg"]


def test_a_port_that_is_taken_is_replaced_by_a_free_one(daemon: Daemon) -> None:
    command = [sys.executable, "-c", SERVER, "{port}"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        wish = {"command": command, "ports": {"port": port}, "address": "127.0.0.1"}
        assert daemon.wanted(**wish)["changed"]
        assert int((daemon.folder / "ready").read_text()) not in (0, port)
        assert not daemon.wanted(**wish)["changed"]


def test_a_process_that_serves_passes_its_check(daemon: Daemon) -> None:
    first = daemon.wanted()
    checked = daemon.checked("exit 0")
    assert (checked["changed"], checked["pid"]) == (False, first["pid"])


def test_a_process_that_ends_while_it_is_checked_is_a_failure(daemon: Daemon) -> None:
    daemon.wanted("sh", "-c", "echo yes >ready; echo no such luck; sleep 1")
    result = daemon.checked("sleep 60")
    assert result["msg"] == "server: it has ended; its log ends: no such luck"


def test_a_failed_check_says_why_and_shows_the_log(daemon: Daemon) -> None:
    daemon.wanted("sh", "-c", "echo yes >ready; echo at work; sleep 60")
    result = daemon.checked("echo nobody knows it; exit 1")
    assert result["msg"] == (
        "server: it does not serve: nobody knows it; its log ends: at work"
    )


def test_a_check_that_does_not_end_has_its_time(daemon: Daemon) -> None:
    daemon.wanted()
    assert "it does not serve" in daemon.checked("sleep 60", timeout=1)["msg"]
