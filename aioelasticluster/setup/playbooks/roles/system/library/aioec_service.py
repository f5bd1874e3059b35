#!/usr/bin/python
"""An Ansible module: a systemd service that really serves, or says why it does not."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: aioec_service
short_description: sees that a systemd service runs, as configured, and serves
description:
  - Enables and starts the service. One that has been running since before one of its
    files changed (its configuration, its unit) is restarted; others are left alone.
  - It counts only if it stays up and listens on its ports. If it does not, the module
    fails with the end of the service's journal.
options:
  name: {type: str, required: true, description: Name of the unit.}
  config:
    type: list
    elements: path
    default: []
    description: Files that it reads when it starts.
  overrides:
    type: str
    default: ""
    description: Text of a drop-in file for its unit, which is written if it differs.
  ports:
    type: list
    elements: int
    default: []
    description: TCP ports on which something must listen once it serves.
  stays: {type: float, default: 1.0, description: For how long it must stay (seconds).}
  timeout: {type: int, default: 60, description: How long it may take (seconds).}
"""

#: What is asked of systemd about a unit.
PROPERTIES = (
    "LoadState",
    "ActiveState",
    "MainPID",
    "UnitFileState",
    "NeedDaemonReload",
    "ExecMainStartTimestampMonotonic",
    "FragmentPath",
    "DropInPaths",
)

#: States of a unit file that can be enabled, and is not.
DISABLED = ("disabled", "enabled-runtime", "linked")

#: Where a unit's drop-in file goes.
DROP_IN = "/etc/systemd/system/{}.service.d/aioelasticluster.conf"

#: Where systemd's generators put units, which are as new as its last reload.
GENERATED = "/run/systemd/generator"

#: How many lines of the journal tell why a service fails.
LAST_WORDS = 15


def main() -> None:
    """See that the service runs."""
    os.umask(0o022)  # what a system's services read, however strict root's is
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "config": {"type": "list", "elements": "path", "default": []},
            "overrides": {"type": "str", "default": ""},
            "ports": {"type": "list", "elements": "int", "default": []},
            "stays": {"type": "float", "default": 1.0},
            "timeout": {"type": "int", "default": 60},
        }
    )
    service = Service(module)
    changed = service.override()
    changed = service.enable() or changed
    action = service.wanted_action()
    if action:
        service.act(action)
    service.wait(0.0 if not action else module.params["stays"])
    module.exit_json(changed=changed or bool(action), action=action)


class Service:
    """A unit of systemd, and what is wanted of it."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module, self.wanted = module, module.params
        self.name = self.wanted["name"]
        self.state: dict[str, str] = {}

    def override(self) -> bool:
        """Write the drop-in file of the unit; return whether that is new."""
        text = self.wanted["overrides"]
        changed = bool(text) and written(DROP_IN.format(self.name), text)
        self.state = self.look()
        if self.state["LoadState"] != "loaded":
            self.module.fail_json(msg=f"{self.name}: {self.state['LoadState']}")
        return changed

    def systemctl(self, *words: str) -> str:
        """Run systemctl; fail with its words, and the service's, if it does."""
        command = ["systemctl", "--no-pager", *words]
        status, output, errors = self.module.run_command(command)
        if status != 0:
            self.give_up(errors.strip())
        return str(output)

    def look(self) -> dict[str, str]:
        """Return what systemd says of the unit now, having read its files."""
        state = self.shown()
        if state["NeedDaemonReload"] == "yes":
            self.systemctl("daemon-reload")
            state = self.shown()
        return state

    def shown(self) -> dict[str, str]:
        """Return the properties of the unit."""
        options = ["--property", ",".join(PROPERTIES)]
        lines = self.systemctl("show", *options, self.name).splitlines()
        return {name: value for name, _, value in (s.partition("=") for s in lines)}

    def enable(self) -> bool:
        """Let it start at boot; return whether that is new."""
        if self.state["UnitFileState"] not in DISABLED:
            return False
        self.systemctl("enable", self.name)
        return True

    def wanted_action(self) -> str:
        """Return what has to be done: start, restart or nothing."""
        if self.state["ActiveState"] not in ("active", "reloading"):
            return "start"
        began = started_at(self.state)
        return "restart" if any(changed_after(began, f) for f in self.files()) else ""

    def files(self) -> list[str]:
        """Return the files that it has read when it started."""
        units = [self.state["FragmentPath"], *self.state["DropInPaths"].split()]
        return [*self.wanted["config"], *filter(is_kept, units)]

    def act(self, action: str) -> None:
        """Start or restart it; earlier failures do not count against it."""
        self.module.run_command(["systemctl", "reset-failed", self.name])
        self.systemctl(action, self.name)

    def wait(self, stays: float) -> None:
        """Return once it has served for so long; fail when its time is up."""
        deadline = time.monotonic() + self.wanted["timeout"]
        pid, since, missing = "", 0.0, ""
        while time.monotonic() < deadline:
            state = self.shown()
            if state["ActiveState"] in ("failed", "inactive"):
                self.give_up("it ended")
            closed = set(self.wanted["ports"]) - listening()
            missing = f"nothing listens on port {min(closed)}" if closed else ""
            if state["ActiveState"] != "active" or state["MainPID"] != pid or closed:
                pid, since = state["MainPID"], time.monotonic()
            if not missing and time.monotonic() - since >= stays:
                return
            time.sleep(0.1)
        self.give_up(missing or "it does not stay up")

    def give_up(self, reason: str) -> None:
        """Fail with the reason and the last words of the service."""
        words = ["--no-pager", "--output", "cat", "--lines", str(LAST_WORDS)]
        command = ["journalctl", *words, "--unit", self.name]
        _, journal, _ = self.module.run_command(command)
        self.module.fail_json(msg=f"{self.name}: {reason}\n{journal}".strip())


def written(path: str, text: str) -> bool:
    """Write a file in one step, unless it is there; return whether it is new."""
    try:
        with open(path) as file:
            if file.read() == text:
                return False
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(f"{path}.new", "w") as file:
        file.write(text)
    os.replace(f"{path}.new", path)
    return True


def is_kept(unit: str) -> bool:
    """Tell whether a unit's file is written by people: others are at each reload."""
    return bool(unit) and not unit.startswith(GENERATED)


def started_at(state: dict[str, str]) -> float:
    """Return when (seconds since the epoch) the main process began."""
    microseconds = int(state["ExecMainStartTimestampMonotonic"] or 0)
    return time.time() - (time.monotonic() - microseconds / 1e6)


def changed_after(moment: float, path: str) -> bool:
    """Tell whether a file was written after that moment."""
    try:
        return os.stat(path).st_mtime > moment
    except FileNotFoundError:
        return False


def listening() -> set[int]:
    """Return the TCP ports of this host on which somebody listens."""
    ports: set[int] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as lines:
                ports.update(ports_in(lines.read()))
        except FileNotFoundError:
            continue  # a kernel without IPv6
    return ports


def ports_in(table: str) -> set[int]:
    """Return the listening ports in a table of sockets, as the kernel prints it."""
    rows: list[Any] = [line.split() for line in table.splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"}


if __name__ == "__main__":
    main()
