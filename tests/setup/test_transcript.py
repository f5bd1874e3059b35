from __future__ import annotations

import json
from typing import Any

from aioelasticluster.model.events import Event, SetupTaskDone, SetupTaskStarted
from aioelasticluster.setup.transcript import HIDDEN, Mask, Transcript

COUNTS = {
    "ok": 2,
    "changed": 1,
    "failures": 0,
    "unreachable": 0,
    "skipped": 0,
    "rescued": 0,
    "ignored": 0,
}


class Tape:
    """A transcript of the hosts a and b, and a way to play lines to it."""

    def __init__(self, **secrets: Any) -> None:
        self.events: list[Event] = []
        self.transcript = Transcript(
            cluster="demo",
            targets=["a", "b"],
            listen=self.events.append,
            mask=Mask(secrets),
        )

    def play(self, event: str, **facts: Any) -> None:
        self.transcript.take(json.dumps({"event": event, **facts}).encode())

    def result(
        self, host: str, status: str, message: str = "", task: str = "t"
    ) -> None:
        self.play("result", host=host, task=task, status=status, message=message)

    def stats(self, *, stopped: tuple[str, ...] = (), **hosts: dict[str, int]) -> None:
        """Play the end; each of the `stopped` was so by the task t on a."""
        counted = {name: {**COUNTS, **counts} for name, counts in hosts.items()}
        by = {"task": "t", "message": "stopped, since it failed on a: because"}
        self.play("stats", hosts=counted, stopped=dict.fromkeys(stopped, by))


def test_lines_become_events_at_once() -> None:
    tape = Tape()
    tape.play("task", task="t", play="p")
    tape.result("a", "failed", "because")
    started, done = tape.events
    assert isinstance(started, SetupTaskStarted)
    assert (started.cluster, started.task, started.play) == ("demo", "t", "p")
    assert isinstance(done, SetupTaskDone)
    assert (done.node, done.status, done.message) == ("a", "failed", "because")


def test_success_needs_the_host_in_the_final_counts() -> None:
    tape = Tape()
    tape.stats(a={}, b={})
    assert tape.transcript.report(0, "", 1.0).ok
    tape = Tape()
    tape.result("a", "ok")
    tape.result("b", "ok")
    tape.stats(a={})
    report = tape.transcript.report(0, "", 1.0)
    assert report.failed == ("b",)


def test_hosts_that_no_play_was_for_are_left_to_the_other_playbooks() -> None:
    tape = Tape()
    tape.stats(a={})
    report = tape.transcript.report(0, "", 1.0)
    assert report.ok
    assert [*report.hosts] == ["a"]


def test_a_host_that_was_stopped_has_failed_however_well_its_own_tasks_went() -> None:
    tape = Tape()
    tape.result("a", "failed", "because")
    tape.result("b", "ok", task="before")
    tape.stats(stopped=("a", "b"), a={"failures": 1}, b={})
    report = tape.transcript.report(2, "", 1.0)
    assert report.failed == ("a", "b")
    assert report.message == ""
    assert report.hosts["a"].message == "because"
    assert report.hosts["b"].failed_task == "t"
    assert report.hosts["b"].message == "stopped, since it failed on a: because"


def test_a_host_may_be_stopped_before_anything_ran_on_it() -> None:
    tape = Tape()
    tape.result("a", "failed", "because")
    tape.stats(stopped=("b", "elsewhere"), a={"failures": 1})
    report = tape.transcript.report(2, "", 1.0)
    assert report.failed == ("a", "b")
    assert "failed on a" in report.hosts["b"].message


def test_what_ansible_itself_calls_success_stopped_nobody() -> None:
    tape = Tape()
    tape.stats(stopped=("b",), a={}, b={})
    assert tape.transcript.report(0, "", 1.0).ok


def test_the_list_that_is_removed_with_the_run_is_not_recommended() -> None:
    tape = Tape()
    tape.stats(a={}, b={})
    output = "fatal\n\n\tto retry, use: --limit @/run/mine.retry\n\nPLAY RECAP\n"
    report = tape.transcript.report(0, output, 1.0)
    assert report.output == "fatal\n\nPLAY RECAP\n"


def test_an_exit_status_of_0_without_final_counts_is_no_success() -> None:
    tape = Tape()
    tape.result("a", "ok")
    tape.result("b", "ok")
    report = tape.transcript.report(0, "[ERROR]: lost\nit\n\nmore", 1.0)
    assert not report.ok
    assert "lost\nit" in report.message
    assert "more" not in report.message


def test_a_failure_without_a_failed_host_is_the_runs() -> None:
    tape = Tape()
    tape.stats(a={}, b={})
    report = tape.transcript.report(250, "ERROR! boom", 1.0)
    assert "boom" in report.message
    tape.result("localhost", "failed", "no disk", task="write")
    tape.stats(a={}, b={}, localhost={"failures": 1})
    report = tape.transcript.report(2, "", 1.0)
    assert report.message == "localhost: task 'write': no disk"


def test_what_was_stopped_says_so_on_every_host_that_it_had_not_reached() -> None:
    tape = Tape()
    tape.result("a", "failed", "because")
    report = tape.transcript.report(None, "", 1.0, stopped="time was up")
    assert report.hosts["a"].message == "because"
    assert report.hosts["b"].message == "time was up"


def test_what_tasks_say_that_do_not_fail_is_noted() -> None:
    tape = Tape()
    tape.result("a", "ok", "/home not mounted: the kernel has no NFS", task="say why")
    tape.result("b", "ok")
    tape.stats(a={"ok": 1, "changed": 0}, b={})
    report = tape.transcript.report(0, "", 1.0)
    assert report.ok
    assert report.hosts["a"].notes == ("/home not mounted: the kernel has no NFS",)
    assert str(report) == (
        "set up 2 of 2 hosts in 1.0 s\n"
        "  a: 1 ok, 0 changed; /home not mounted: the kernel has no NFS"
    )


def test_secrets_are_hidden_wherever_they_would_show() -> None:
    secret = 'pass"word\nsecond line'
    tape = Tape(one=secret, nested={"list": ["deeply", 123456]}, short="x", flag=True)
    tape.result("a", "failed", f"<{secret}> deeply 123456", task="use second line")
    report = tape.transcript.report(2, f"json: {json.dumps(secret)} x True", 1.0)
    host = report.hosts["a"]
    assert host.message == f"<{HIDDEN}> {HIDDEN} {HIDDEN}"
    assert host.failed_task == f"use {HIDDEN}"
    assert report.output == f'json: "{HIDDEN}" x True'
