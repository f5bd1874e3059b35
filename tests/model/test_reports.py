"""Reports and events: values that read well."""

from __future__ import annotations

import time
from dataclasses import FrozenInstanceError

import pytest

from aioelasticluster.model import events
from aioelasticluster.model.reports import (
    HostReport,
    NodeFault,
    RunResult,
    SetupReport,
    StartReport,
)
from aioelasticluster.model.states import NodeState

FAULT = NodeFault(node="compute002", step="launch", message="no room")
GOOD = HostReport(host="compute001", ok=5, changed=2)
BAD = HostReport(host="compute002", ok=3, failed_task="install", message="no network")
LOST = HostReport(host="compute003", unreachable=True, message="timed out")


def test_a_start_is_ok_if_nothing_is_missing() -> None:
    assert StartReport(cluster="demo", alive=("compute001",)).ok
    assert not StartReport(cluster="demo", booting=("compute001",)).ok
    assert not StartReport(cluster="demo", failed=(FAULT,)).ok


def test_a_start_report_says_which_node_failed_and_why() -> None:
    report = StartReport(
        cluster="demo", alive=("compute001",), failed=(FAULT,), seconds=12.34
    )
    assert str(report).splitlines() == [
        "cluster demo: 1 alive, 0 booting, 1 failed after 12.3 s",
        "  compute002: launch: no room",
    ]


def test_faults_are_equal_by_what_they_say() -> None:
    again = NodeFault(
        node="compute002", step="launch", message="no room", error=KeyError("x")
    )
    assert again == FAULT


def test_a_host_is_set_up_if_it_was_reached_and_no_task_failed() -> None:
    assert [host.succeeded for host in (GOOD, BAD, LOST)] == [True, False, False]
    assert [str(host) for host in (GOOD, BAD, LOST)] == [
        "compute001: 5 ok, 2 changed",
        "compute002: task 'install': no network",
        "compute003: unreachable: timed out",
    ]


def test_a_setup_report_adds_up_its_hosts() -> None:
    hosts = {host.host: host for host in (GOOD, BAD, LOST)}
    report = SetupReport(hosts=hosts, seconds=3.21)
    assert not report.ok
    assert (report.changed, report.failed) == (2, ("compute002", "compute003"))
    assert str(report).splitlines() == [
        "set up 1 of 3 hosts in 3.2 s",
        "  compute002: task 'install': no network",
        "  compute003: unreachable: timed out",
    ]


def test_a_run_that_was_stopped_as_a_whole_is_not_ok() -> None:
    report = SetupReport(hosts={"compute001": GOOD}, message="syntax error")
    assert not report.ok
    assert "syntax error" in str(report)
    assert SetupReport(hosts={"compute001": GOOD}).ok


def test_a_command_is_ok_if_it_exited_with_0() -> None:
    assert RunResult(node="a", command="true", status=0).ok
    assert not RunResult(node="a", command="false", status=1).ok
    assert not RunResult(node="a", command="true", error="unreachable").ok


def test_an_event_knows_when_it_happened() -> None:
    before = time.time()
    event = events.OrderSent(cluster="demo", token="t", nodes=("a",))
    assert before <= event.at <= time.time()
    with pytest.raises(FrozenInstanceError):
        event.token = "x"  # type: ignore[misc]  # the point


def test_every_event_is_one() -> None:
    kinds = [
        kind
        for kind in vars(events).values()
        if isinstance(kind, type) and kind.__module__ == events.__name__
    ]
    assert len(kinds) > 8
    assert all(issubclass(kind, events.Event) for kind in kinds)
    moved = events.NodeMoved(
        cluster="demo",
        node="compute001",
        kind="compute",
        before=NodeState.BOOTING,
        after=NodeState.ALIVE,
    )
    assert (moved.instance_id, moved.reason) == ("", "")
