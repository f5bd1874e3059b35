"""Slurm on real hosts: one cluster that is set up, broken, mended, grown and shrunk."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.fixtures import left_as_found
from tests.hosts.running import RunningEngine
from tests.hosts.sharing import MARKS
from tests.hosts.slurm_life import Seen, live

pytestmark = [*MARKS, pytest.mark.ansible]

WORKERS = ["compute001", "compute002", "compute003"]


@pytest.fixture(scope="module")
def seen(docker: RunningEngine) -> Iterator[Seen]:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # short, for OpenSSH's sockets
    for _ in left_as_found(docker):
        try:
            yield asyncio.run(live(docker.url, folder))
        finally:
            shutil.rmtree(folder)


def test_three_workers_run_a_job(
    seen: Seen, capsys: pytest.CaptureFixture[str]
) -> None:
    assert seen.first_job == WORKERS
    told = ", ".join(f"{what} {s:.0f} s" for what, s in seen.after.items())
    with capsys.disabled():  # to be seen, not promised: machines differ
        sys.stdout.write(f"\nSlurm after {told}\n")


def test_a_job_that_wants_a_gpu_runs_where_there_is_one(seen: Seen) -> None:
    assert seen.with_gpu == ["compute002"]


def test_there_is_a_partition_for_each_kind_and_one_for_all(seen: Seen) -> None:
    assert seen.partitions == ["main*/3/idle", "compute/3/idle"]


def test_a_failing_task_is_named_with_its_host_and_what_it_said(seen: Seen) -> None:
    report = seen.broken
    assert report is not None
    assert report.failed == ("compute003",)
    failed = report.hosts["compute003"]
    assert failed.failed_task == "slurm : Give the key to the others"
    assert "/etc/munge does not exist" in failed.message
    assert f"compute003: task '{failed.failed_task}': {failed.message}" in str(report)


def test_the_others_are_set_up_all_the_same(seen: Seen) -> None:
    assert seen.after_broken == (
        "compute001 ready, compute002 ready, compute003 alive, frontend001 ready"
    )


def test_what_failed_is_finished_once_the_cause_is_gone(seen: Seen) -> None:
    assert seen.mended is not None
    assert seen.mended.ok
    assert sorted(seen.mended.hosts) == [*WORKERS, "frontend001"]


def test_accounting_knows_of_an_array_of_jobs(seen: Seen) -> None:
    assert seen.array == ["COMPLETED"] * 8


def test_a_fourth_worker_takes_part(seen: Seen) -> None:
    assert seen.wide_job == [*WORKERS, "compute004"]
    assert seen.names_before == [*WORKERS, "compute004", "frontend001"]


def test_old_workers_learn_the_name_of_the_new_one_and_no_more(seen: Seen) -> None:
    assert seen.grown is not None
    changes = {name: host.changed for name, host in seen.grown.hosts.items()}
    new, controller = changes.pop("compute004"), changes.pop("frontend001")
    assert changes == dict.fromkeys(WORKERS, 1)
    assert seen.grown.hosts["compute001"].ok == 1
    assert min(new, controller) > 0


def test_jobs_run_on_while_workers_come_and_go(seen: Seen) -> None:
    assert seen.long_job == ["RUNNING"]
    assert seen.starts == ["started"]
    assert len(seen.slurmd) == 1


def test_a_worker_that_leaves_is_forgotten_and_its_jobs_are_not(seen: Seen) -> None:
    assert seen.nodes_after == WORKERS
    assert seen.names_after == [*WORKERS, "frontend001"]
    assert seen.requeued == "PENDING"


def test_a_cancelled_set_up_leaves_no_ansible(seen: Seen) -> None:
    assert seen.left_running == []
    assert seen.stopping <= 10.0


def test_another_set_up_changes_nothing(seen: Seen) -> None:
    assert seen.again is not None
    assert seen.again.ok
    assert seen.again.changed == 0
