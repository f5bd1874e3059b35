"""Runs inside ansible-playbook: writes what happens as JSON lines to a pipe.

It imports nothing of aioelasticluster, so that any Ansible can load it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase
from ansible.plugins.loader import shell_loader

DOCUMENTATION = """
name: aioec_stream
type: notification
short_description: writes what happens as JSON lines
description:
  - Writes one JSON object a line to the file descriptor named by AIOEC_STREAM_FD.
  - Removes the file named by AIOEC_SECRETS when the first play begins, since Ansible
    has read it by then.
requirements:
  - enabled by the name in ANSIBLE_CALLBACKS_ENABLED
"""

#: Longest message (characters) that goes into one line.
LONGEST = 2000

#: Tasks that are there to say something.
SAYING = ("debug", "ansible.builtin.debug")

#: What modules say when the cause is elsewhere in their result.
EMPTY_WORDS = ("non-zero return code", "one or more items failed", "module failure")


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible is not annotated
    """Tells of tasks, of each host's result and of the final counts."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "aioec_stream"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._fd = int(os.environ.get("AIOEC_STREAM_FD", "-1"))
        self._play = ""
        self._unplayed: list[Any] = []
        self._batch: list[str] = []
        self._waiting: set[str] = set()
        self._causes: dict[str, tuple[str, str]] = {}
        self._last = ("unknown", "failed")
        # No setting names a folder of shell plugins. Workers inherit this one.
        shell_loader.add_directory(os.environ.get("AIOEC_SHELL_PLUGINS", ""))

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Remember the plays: Ansible ends early if one fails on all its hosts."""
        self._unplayed = playbook.get_plays()

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Remember the play's name and its hosts; `serial` plays begin repeatedly."""
        self._play = play.get_name().strip()
        left = [one for one in self._unplayed if one._uuid != play._uuid]
        hosts = _variables(play)
        if len(left) < len(self._unplayed):
            self._unplayed, self._waiting = left, set(hosts["ansible_play_hosts_all"])
        self._batch = hosts["ansible_play_batch"]
        self._waiting.difference_update(self._batch)
        self._forget_secrets()

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Tell of a task."""
        self._write(event="task", task=_name_of(task), play=self._play)

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """Tell of a handler, which is a task to us."""
        self._write(event="task", task=_name_of(task), play=self._play)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Tell that a host did a task."""
        changed = result._result.get("changed", False)
        self._result(result, "changed" if changed else "ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Tell that a task failed on a host, and whether it matters."""
        self._result(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Tell that a task was not for a host."""
        self._result(result, "skipped")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Tell that a host could not be reached."""
        self._result(result, "unreachable")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Tell the counts by host, in the end."""
        hosts = {host: stats.summarize(host) for host in stats.processed}
        stopped = dict(self._stopped(_failed()))
        self._write(event="stats", hosts=hosts, stopped=stopped)

    def _stopped(self, failed: set[str]) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield each host that Ansible left out, and why; the last reason counts."""
        for play in reversed(self._unplayed):
            # All hosts, if they are a template: it may need what was never asked.
            for host in _variables(play)["ansible_play_hosts_all"]:
                yield host, self._before(play.get_name().strip())
        if failed.issuperset(self._batch):
            for host in self._waiting:
                yield host, self._before(self._play)
        for host in failed:
            task, told = self._causes.get(host, self._last)
            yield host, {"task": task, "message": f"stopped, since it {told}"}

    def _before(self, play: str) -> dict[str, str]:
        task, told = self._last
        message = f"stopped before play {play!r}: task {task!r} {told}"
        return {"task": "playbook", "message": message}

    def _remember(self, result: Any, message: str) -> None:
        """Remember a failure: it may stop hosts other than its own.

        Where nothing but `ignore_unreachable` excuses it, Ansible goes on with nobody.
        """
        task, host = result._task, result._host.get_name()
        self._last = (_name_of(task), f"failed on {host}: {message}")
        if (task.run_once or task.any_errors_fatal) and not task.ignore_errors:
            for name in self._batch:
                self._causes.setdefault(name, self._last)

    def _forget_secrets(self) -> None:
        try:
            os.unlink(os.environ.get("AIOEC_SECRETS", ""))
        except OSError:
            pass  # an earlier play's doing

    def _result(self, result: Any, status: str) -> None:
        message = ""
        if status in ("failed", "ignored", "unreachable"):
            message = message_of(result._result)
            if status != "ignored":
                self._remember(result, message)
        elif status == "ok" and result._task.action in SAYING:
            message = _text(result._result.get("msg"))[:LONGEST]
        self._write(
            event="result",
            host=result._host.get_name(),
            task=_name_of(result._task),
            status=status,
            message=message,
        )

    def _write(self, **event: object) -> None:
        line = (json.dumps(event) + "\n").encode()
        try:
            while line:
                line = line[os.write(self._fd, line) :]
        except OSError:
            pass  # nobody listens any more


def _variables(play: Any) -> Any:
    return play.get_variable_manager().get_vars(play=play)


def _failed() -> set[str]:
    """Return the hosts that Ansible goes on with no more.

    Its counts do not have those that another host's failure stops; a file for people
    who want to try again does.
    """
    folder = Path(os.environ["ANSIBLE_RETRY_FILES_SAVE_PATH"])
    return {
        host for path in folder.glob("*.retry") for host in path.read_text().split()
    }


def _name_of(task: Any) -> str:
    return str(task.get_name()).strip()


def message_of(result: dict[str, Any]) -> str:
    """Return the first useful error text of a module's result."""
    if "censored" in result or result.get("_ansible_no_log"):
        return "the output is hidden (no_log)"
    for item in result.get("results") or ():
        if isinstance(item, dict) and (item.get("failed") or item.get("unreachable")):
            return message_of(item)
    words = _text(result.get("msg")).removeprefix("Task failed: ")
    if not words or words.lower().startswith(EMPTY_WORDS):
        causes = ("stderr", "module_stderr", "stdout", "module_stdout", "exception")
        details = (_tail(_text(result.get(cause))) for cause in causes)
        words = ": ".join(filter(None, (words, next(filter(None, details), ""))))
    return words[:LONGEST] or "no reason was given"


def _text(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return "\n".join(map(str, value)).strip()
    return "" if value is None else str(value).strip()


def _tail(text: str, lines: int = 5) -> str:
    """Return the last lines: tracebacks and compilers put the cause there."""
    return "\n".join(text.splitlines()[-lines:])
