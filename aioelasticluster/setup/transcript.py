"""What ansible-playbook tells while it runs, turned into events and a report."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aioelasticluster.model.events import Event, SetupTaskDone, SetupTaskStarted
from aioelasticluster.model.reports import HostReport, SetupReport

#: What stands in the place of a secret.
HIDDEN = "********"

#: Secrets shorter than this are not searched for: they would match anything.
SHORTEST_SECRET = 3

#: Exit statuses of ansible-playbook that its counts by host explain.
EXPLAINED = frozenset({0, 2, 4})

#: Where Ansible has put a list that is removed with the run.
RETRY = re.compile(r"^\tto retry, use: --limit @.*\n+", re.MULTILINE)


class Mask:
    """Hides secret values in texts."""

    def __init__(self, secrets: Mapping[str, Any]) -> None:
        found = {text for text in _leaves(secrets) if len(text) >= SHORTEST_SECRET}
        written = {json.dumps(text)[1:-1] for text in found}
        # The longest first, in case one secret is a part of another.
        self._values = sorted(found | written, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return the text with every secret hidden."""
        for value in self._values:
            text = text.replace(value, HIDDEN)
        return text


def _leaves(value: object) -> Iterator[str]:
    """Yield every text and number in nested plain data, line by line too."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)
        yield from str(value).splitlines()


@dataclass(slots=True)
class _Host:
    """What is known of one host so far."""

    ok: int = 0
    changed: int = 0
    skipped: int = 0
    failed_task: str = ""
    message: str = ""
    unreachable: bool = False
    counted: bool = False
    notes: list[str] = field(default_factory=list)

    def take(self, event: Mapping[str, Any], message: str) -> None:
        status = event["status"]
        self.ok += status in ("ok", "changed", "ignored")
        self.changed += status == "changed"
        self.skipped += status == "skipped"
        if status in ("failed", "unreachable"):
            self.failed_task, self.message = event["task"], message
            self.unreachable = status == "unreachable"
        elif status == "ok" and message:
            self.notes.append(message)

    def count(self, counts: Mapping[str, int]) -> None:
        """Believe the final counts: a failure may have been rescued."""
        self.counted = True
        self.ok, self.changed = counts["ok"], counts["changed"]
        self.skipped = counts["skipped"]
        self.unreachable = bool(counts["unreachable"])
        if not counts["failures"] and not self.unreachable:
            self.failed_task = self.message = ""
        else:
            self.failed_task = self.failed_task or "unknown"

    def stop(self, task: str, message: str) -> None:
        """Fail with what stopped it, unless it failed by itself."""
        if not self.failed_task:
            self.failed_task, self.message = task, message

    def report(self, name: str, absent: str) -> HostReport:
        reached = self.counted or self.failed_task
        return HostReport(
            host=name,
            ok=self.ok,
            changed=self.changed,
            skipped=self.skipped,
            failed_task=self.failed_task if reached else "playbook",
            message=self.message if reached else absent,
            unreachable=self.unreachable,
            notes=tuple(self.notes),
        )


@dataclass(slots=True)
class Transcript:
    """Takes the lines of the callback plugin; tells of tasks as they happen."""

    cluster: str
    targets: Collection[str]
    listen: Callable[[Event], None]
    mask: Mask
    _hosts: dict[str, _Host] = field(default_factory=dict)
    _stopped: dict[str, dict[str, str]] = field(default_factory=dict)
    _ended: bool = False

    def take(self, line: bytes) -> None:
        """Take one line: pass an event on, remember it for the report."""
        event = json.loads(line)
        match event["event"]:
            case "task":
                self._take_task(event)
            case "result":
                self._take_result(event)
            case "stats":
                self._take_stats(event["hosts"])
                self._stopped = event["stopped"]

    def _take_task(self, event: Mapping[str, str]) -> None:
        task, play = self.mask(event["task"]), self.mask(event["play"])
        self.listen(SetupTaskStarted(cluster=self.cluster, task=task, play=play))

    def _take_result(self, event: Mapping[str, str]) -> None:
        message, task = self.mask(event["message"]), self.mask(event["task"])
        self._host(event["host"]).take({**event, "task": task}, message)
        self.listen(
            SetupTaskDone(
                cluster=self.cluster,
                node=event["host"],
                task=task,
                status=event["status"],
                message=message,
            )
        )

    def _take_stats(self, hosts: Mapping[str, Mapping[str, int]]) -> None:
        self._ended = True
        for name, counts in hosts.items():
            self._host(name).count(counts)

    def _host(self, name: str) -> _Host:
        return self._hosts.setdefault(name, _Host())

    def report(
        self, status: int | None, output: str, seconds: float, stopped: str = ""
    ) -> SetupReport:
        """Return what the run came to; only what every host confirmed is success.

        Targets that no play was for are left out, unless the run as a whole failed.
        `status` is the exit status, `stopped` why the run was stopped, if it was.
        """
        output = self.mask(RETRY.sub("", output))
        if status != 0:  # else the failure that stopped hosts was rescued on all
            self._stop_hosts()
        message = stopped or self._trouble(status, output)
        absent = message or "Ansible does not count this host in the end"
        hosts = {
            name: self._host(name).report(name, absent)
            for name in self.targets
            if message or name in self._hosts
        }
        return SetupReport(hosts=hosts, message=message, output=output, seconds=seconds)

    def _stop_hosts(self) -> None:
        for name in self.targets:
            if by := self._stopped.get(name):
                self._host(name).stop(self.mask(by["task"]), self.mask(by["message"]))

    def _trouble(self, status: int | None, output: str) -> str:
        """Return what stopped the run as a whole, empty if nothing did."""
        if not self._ended:
            reason = _first_error(output) or "it gave no reason"
            return f"ansible-playbook ended early (exit status {status}): {reason}"
        others = [name for name in self._hosts if name not in self.targets]
        for name in others:
            if (host := self._hosts[name]).failed_task:
                return f"{name}: task {host.failed_task!r}: {host.message}"
        bad = any(host.failed_task for host in self._hosts.values())
        if status not in EXPLAINED or (status and not bad):
            reason = _first_error(output) or "it gave no reason"
            return f"ansible-playbook ended with exit status {status}: {reason}"
        return ""


def _first_error(output: str) -> str:
    """Return the first error in Ansible's output, with the lines that belong to it."""
    lines = output.splitlines()
    for number, line in enumerate(lines):
        if line.startswith(("[ERROR]", "ERROR!", "usage:", "Traceback")):
            first = lines[number:]
            end = first.index("") if "" in first else len(first)
            return "\n".join(first[: min(end, 12)])
    return "\n".join(lines[-3:])
