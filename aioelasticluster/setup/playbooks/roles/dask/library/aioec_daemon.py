#!/usr/bin/python
"""An Ansible module: a process that goes on without root and without systemd."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: aioec_daemon
short_description: keeps one process of a user running
description:
  - Starts the process unless it runs as wanted. One that runs with other arguments,
    or from another build of its environment, is stopped first.
options:
  name: {type: str, required: true, description: Names the log and the state file.}
  folder: {type: path, required: true, description: Where both are.}
  command: {type: list, elements: str, required: true, description: What to run.}
  environment: {type: dict, default: {}, description: Variables that it gets, too.}
  build: {type: str, default: "", description: A change of it is a reason to restart.}
  address: {type: str, description: Where the port must be free.}
  port:
    type: int
    description: Put in the place of {port}; any free one if this one is taken.
  ready: {type: path, description: A file that the process writes once it serves.}
  timeout: {type: int, default: 60, description: How long to wait for it (seconds).}
"""

#: How long (seconds) a process may take to end.
GRACE = 10.0


def main() -> None:
    """Start the process unless it runs as wanted."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "folder": {"type": "path", "required": True},
            "command": {"type": "list", "elements": "str", "required": True},
            "environment": {"type": "dict", "default": {}},
            "build": {"type": "str", "default": ""},
            "address": {"type": "str"},
            "port": {"type": "int"},
            "ready": {"type": "path"},
            "timeout": {"type": "int", "default": 60},
        }
    )
    daemon = Daemon(module.params)
    known = daemon.known()
    if known.get("digest") == daemon.digest and is_running(known):
        module.exit_json(changed=False, pid=known["pid"])
    stop(known)
    try:
        pid = daemon.start()
    except (OSError, RuntimeError) as fault:
        module.fail_json(msg=f"{module.params['name']}: {fault}")
    module.exit_json(changed=True, pid=pid)


class Daemon:
    """A process, what is wanted of it, and what is known of it."""

    def __init__(self, wanted: dict[str, Any]) -> None:
        self.wanted = wanted
        base = os.path.join(wanted["folder"], wanted["name"])
        self.log, self.state = base + ".log", base + ".json"
        reasons = ("command", "environment", "build", "address", "port")
        text = json.dumps([wanted[reason] for reason in reasons], sort_keys=True)
        self.digest = hashlib.sha256(text.encode()).hexdigest()

    def known(self) -> dict[str, Any]:
        """Return what was written at the last start, nothing if there was none."""
        try:
            with open(self.state) as file:
                known: dict[str, Any] = json.load(file)
                return known
        except (OSError, ValueError):
            return {}

    def start(self) -> int:
        """Start it in a session of its own and return its pid once it serves."""
        ready = self.wanted["ready"]
        if ready and os.path.exists(ready):
            os.unlink(ready)
        with open(self.log, "ab") as log:
            process = subprocess.Popen(
                self.command(),
                env=dict(os.environ, **self.wanted["environment"]),
                cwd=self.wanted["folder"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        facts = {"pid": process.pid, "start": start_of(process.pid)}
        with open(self.state, "w") as file:
            json.dump(dict(facts, digest=self.digest), file)
        if ready:
            self.wait(process, ready)
        return process.pid

    def command(self) -> list[str]:
        """Return the command, with a port that is free now."""
        words: list[str] = self.wanted["command"]
        if not self.wanted["port"]:
            return words
        port = str(free_port(self.wanted["address"], self.wanted["port"]))
        return [word.replace("{port}", port) for word in words]

    def wait(self, process: subprocess.Popen[bytes], ready: str) -> None:
        """Wait until the file is there and holds something."""
        deadline = time.monotonic() + self.wanted["timeout"]
        while not (os.path.exists(ready) and os.path.getsize(ready)):
            if process.poll() is not None:
                raise RuntimeError("it ended at once; its log ends: " + self.tail())
            if time.monotonic() > deadline:
                raise RuntimeError("it does not serve; its log ends: " + self.tail())
            time.sleep(0.05)

    def tail(self) -> str:
        """Return the end of its log."""
        with open(self.log, errors="replace") as log:
            return "".join(log.readlines()[-8:]).strip()


def free_port(address: str, wanted: int) -> int:
    """Return the wanted port, or any free one if it is taken."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, wanted))
        except OSError:
            probe.bind((address, 0))
        return int(probe.getsockname()[1])


def is_running(known: dict[str, Any]) -> bool:
    """Tell whether the process is the one that was started: pids are used again."""
    return bool(known) and start_of(known["pid"]) == known["start"] != ""


def start_of(pid: int) -> str:
    """Return when a process started, as opaque text; empty if there is none."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
            return "" if fields[0] == "Z" else fields[19]
    except OSError:
        if os.path.exists("/proc/self/stat"):
            return ""
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(command, stdout=subprocess.PIPE).stdout.decode().strip()


def stop(known: dict[str, Any]) -> None:
    """Stop a process and the children that stayed in its group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not is_running(known):
            return
        os.killpg(known["pid"], number)
        deadline = time.monotonic() + GRACE
        while is_running(known) and time.monotonic() < deadline:
            time.sleep(0.05)


if __name__ == "__main__":
    main()
