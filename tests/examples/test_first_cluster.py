"""The first example, as a stranger runs it: from a shell, and not always to its end."""

from __future__ import annotations

import os
import pty
import signal
import subprocess

import pytest

from tests.examples.conftest import PATIENCE, Machine, Ran

pytestmark = [pytest.mark.ansible, pytest.mark.timeout(PATIENCE)]

EXAMPLE = "01_first_cluster.py"
PROOF = (
    "sum of squares below 1,000,000 = 333,332,833,333,500,000, "
    "computed by compute001, compute002, compute003"
)
#: What may stay in the project's state folder: the record of clusters, now empty.
KEPT = {"state/aioelasticluster/clusters.sqlite"}


@pytest.fixture(scope="module")
def first(machine: Machine) -> Ran:
    return machine.run(EXAMPLE)


def test_it_computes_on_all_three_nodes(first: Ran) -> None:
    assert (first.status, first.errors) == (0, "")
    assert first.lines[-1] == PROOF


def test_its_lines_tell_of_nodes_and_tasks_without_control_characters(
    first: Ran,
) -> None:
    assert all(line.isprintable() for line in first.lines)
    for news in ("compute003 is alive", "frontend001 is ready"):
        assert news in first.lines
    assert any(line.startswith("set-up: ") for line in first.lines)


def test_it_leaves_no_process_and_no_file_but_its_records(
    first: Ran, machine: Machine
) -> None:
    assert machine.processes() == []
    assert machine.files() == KEPT


def test_a_run_that_was_killed_is_taken_over_by_the_next(machine: Machine) -> None:
    with machine.start(EXAMPLE, stdout=subprocess.PIPE) as killed:
        news = killed.stdout or ()
        next(line for line in news if line.startswith("set-up: dask"))
        killed.kill()
    again = machine.run(EXAMPLE)
    assert (again.status, again.errors) == (0, "")
    assert "compute003 is launching" not in again.lines
    assert again.lines[-1] == PROOF
    assert machine.processes() == []
    assert machine.files() == KEPT


def test_a_terminal_gets_a_table_and_an_interrupt_stops_the_cluster(
    machine: Machine,
) -> None:
    ours, its = pty.openpty()
    running = machine.start(EXAMPLE, stdout=its, stderr=subprocess.PIPE)
    os.close(its)
    shown = ""
    while "alive" not in shown:
        shown += os.read(ours, 1 << 16).decode()
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=PATIENCE)
    os.close(ours)
    assert (running.returncode, errors) == (1, "interrupted\n")
    assert all(word in shown for word in ("node", "state", "address", "\x1b["))
    assert machine.processes() == []


def test_a_missing_ssh_is_named_before_anything_is_launched(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(machine.home / "nothing"))
    ran = machine.run(EXAMPLE)
    assert (ran.status, ran.lines) == (1, [])
    assert "the command ssh is not found" in ran.errors
