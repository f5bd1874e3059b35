#!/usr/bin/python
"""An Ansible module: a process that goes on, kept by systemd or by nobody."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import signal
import socket
import subprocess
import tempfile
import time
from typing import Any, TextIO

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: aioec_daemon
short_description: keeps one process of a user running
description:
  - Starts the process unless it runs as wanted. One that runs with other arguments,
    or from another build of its environment, is stopped first.
  - With O(unit), which takes root, systemd starts it, also after a failure or a boot.
    Otherwise it gets a session of its own, and whoever needs it has to look after it.
  - With O(check) it starts nothing, and fails if the running process does not serve.
options:
  name: {type: str, required: true, description: Names the log and the state file.}
  folder: {type: path, required: true, description: Where both are.}
  command: {type: list, elements: str, description: What to run.}
  check:
    type: list
    elements: str
    description: A command that ends with success once the process serves.
  stdin: {type: str, default: "", description: What the check gets to read.}
  environment: {type: dict, default: {}, description: Variables that it gets, too.}
  build: {type: str, default: "", description: A change of it is a reason to restart.}
  address: {type: str, description: Where the ports must be free.}
  ports:
    type: dict
    default: {}
    description: Ports that take the place of {name}; any free one if one is taken.
  ready: {type: path, description: A file that the process writes once it serves.}
  timeout: {type: int, default: 60, description: How long to wait for it (seconds).}
  user: {type: str, default: "", description: Whose process it is; ours by default.}
  unit: {type: str, default: "", description: The systemd unit that keeps it running.}
"""

RETURN = """
pid: {type: int, description: The process that was started.}
ports: {type: dict, description: The ports that took the places of their names.}
"""

#: How long (seconds) a process may take to end.
GRACE = 10.0

#: What it is restarted for.
REASONS = ("command", "environment", "build", "address", "ports", "user", "unit")

UNITS = "/etc/systemd/system"

UNIT = """\
[Unit]
Description={name}, for a cluster
Wants=network-online.target
After=network-online.target

[Service]
User={user}
WorkingDirectory={folder}
EnvironmentFile={environment}
ExecStart={command}
StandardOutput=append:{log}
StandardError=append:{log}
Restart=on-failure
RestartSec=3
TimeoutStopSec=30
LimitNOFILE=65536
TasksMax=infinity

[Install]
WantedBy=multi-user.target
"""


def main() -> None:
    """Start the process unless it runs as wanted."""
    if os.geteuid() == 0:
        os.umask(0o022)  # other users read it, however strict root's is
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "folder": {"type": "path", "required": True},
            "command": {"type": "list", "elements": "str"},
            "check": {"type": "list", "elements": "str"},
            "stdin": {"type": "str", "default": ""},
            "environment": {"type": "dict", "default": {}},
            "build": {"type": "str", "default": ""},
            "address": {"type": "str"},
            "ports": {"type": "dict", "default": {}},
            "ready": {"type": "path"},
            "timeout": {"type": "int", "default": 60},
            "user": {"type": "str", "default": ""},
            "unit": {"type": "str", "default": ""},
        },
        required_one_of=[("command", "check")],
    )
    try:
        if module.params["check"]:
            module.exit_json(changed=False, **check(module.params))
        module.exit_json(**have(module.params))
    except (LookupError, OSError, RuntimeError, ValueError) as fault:
        module.fail_json(msg=f"{module.params['name']}: {fault}")


def have(wanted: dict[str, Any]) -> dict[str, Any]:
    """Start the process unless it runs as wanted; return what is known of it."""
    daemon = Unit(wanted) if wanted["unit"] else Daemon(wanted)
    known = daemon.known()
    changed = known.get("digest") != daemon.digest or not daemon.is_running(known)
    if changed:
        daemon.stop(known)
        known = daemon.start()
    return {"changed": changed, "pid": known["pid"], "ports": known["ports"]}


def check(wanted: dict[str, Any]) -> dict[str, Any]:
    """Raise `RuntimeError` if the process ends, or fails the check."""
    daemon = Daemon(wanted)
    known = daemon.known()
    if known.get("unit"):
        daemon = Unit(wanted)
    deadline = time.monotonic() + wanted["timeout"]
    with tempfile.TemporaryFile("w+") as given, tempfile.TemporaryFile("w+") as said:
        given.write(wanted["stdin"])
        given.seek(0)
        asked = subprocess.Popen(
            [os.path.expanduser(word) for word in wanted["check"]],
            stdin=given,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        while asked.poll() is None:
            wrong = "" if daemon.is_running(known) else "it has ended"
            if time.monotonic() > deadline:
                wrong = "it does not serve"
            if wrong:
                asked.kill()
                raise RuntimeError(daemon.complaint(wrong, said))
            time.sleep(0.1)
        if asked.returncode:
            raise RuntimeError(daemon.complaint("it does not serve", said))
    return {"pid": known["pid"], "ports": known["ports"]}


class Daemon:
    """A process, what is wanted of it, and what is known of it."""

    def __init__(self, wanted: dict[str, Any]) -> None:
        self.wanted = wanted
        base = os.path.join(wanted["folder"], wanted["name"])
        self.log, self.state = base + ".log", base + ".json"
        self.variables = {name: str(to) for name, to in wanted["environment"].items()}
        text = json.dumps([wanted[reason] for reason in REASONS], sort_keys=True)
        self.digest = hashlib.sha256(text.encode()).hexdigest()

    def known(self) -> dict[str, Any]:
        """Return what was written at the last start, nothing if there was none."""
        try:
            with open(self.state) as file:
                known: dict[str, Any] = json.load(file)
                return known
        except (OSError, ValueError):
            return {}

    def start(self) -> dict[str, Any]:
        """Start it, wait until it serves, and return what is then known of it."""
        ready = self.wanted["ready"]
        if ready and os.path.exists(ready):
            os.unlink(ready)
        words: list[str] = self.wanted["command"]
        ports: dict[str, int] = {}
        for name, wanted in self.wanted["ports"].items():
            ports[name] = free_port(self.wanted["address"], int(wanted))
            words = [word.replace(f"{{{name}}}", str(ports[name])) for word in words]
        known = dict(self.launch(words), digest=self.digest, ports=ports)
        with open(self.state, "w") as file:
            json.dump(known, file)
        if ready:
            self.wait(known, ready)
        return known

    def launch(self, words: list[str]) -> dict[str, Any]:
        """Start it in a session of its own."""
        with open(self.log, "ab") as log:
            process = subprocess.Popen(
                words,
                env=dict(os.environ, **self.variables),
                cwd=self.wanted["folder"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **as_user(self.wanted["user"]),
            )
        return {"pid": process.pid, "start": start_of(process.pid)}

    def is_running(self, known: dict[str, Any]) -> bool:
        """Tell whether it is the one that was started: pids are used again."""
        return bool(known) and start_of(known["pid"]) == known.get("start") != ""

    def stop(self, known: dict[str, Any]) -> None:
        """Stop it and the children that stayed in its group."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self.is_running(known):
                return
            os.killpg(known["pid"], number)
            deadline = time.monotonic() + GRACE
            while self.is_running(known) and time.monotonic() < deadline:
                time.sleep(0.05)

    def wait(self, known: dict[str, Any], ready: str) -> None:
        """Wait until the file is there and holds something."""
        deadline = time.monotonic() + self.wanted["timeout"]
        while not (os.path.exists(ready) and os.path.getsize(ready)):
            if not self.is_running(known):
                raise RuntimeError(self.complaint("it ended at once"))
            if time.monotonic() > deadline:
                raise RuntimeError(self.complaint("it does not serve"))
            time.sleep(0.05)

    def complaint(self, wrong: str, said: TextIO | None = None) -> str:
        """Return what is wrong, with what a check said of it, and the log's end."""
        if said:
            said.seek(0)
            wrong = ": ".join([wrong, *said.read().strip().splitlines()[-1:]])
        with open(self.log, errors="replace") as log:
            tail = "".join(log.readlines()[-8:]).strip()
        return f"{wrong}; its log ends: {tail}"


class Unit(Daemon):
    """A process that systemd keeps running."""

    @property
    def path(self) -> str:
        """The unit's file."""
        return os.path.join(UNITS, self.wanted["unit"] + ".service")

    def launch(self, words: list[str]) -> dict[str, Any]:
        """Write the unit, and have systemd start it now and at each boot."""
        variables = os.path.join(self.wanted["folder"], self.wanted["name"] + ".env")
        lines = [f"{name}={quoted(to)}\n" for name, to in self.variables.items()]
        write(variables, "".join(lines), 0o600)
        # Systemd replaces % in a command, and $.
        command = " ".join(map(quoted, words)).replace("%", "%%").replace("$", "$$")
        unit = UNIT.format(
            name=self.wanted["unit"],
            user=self.wanted["user"] or pwd.getpwuid(os.getuid()).pw_name,
            folder=self.wanted["folder"],
            environment=variables,
            command=command,
            log=self.log,
        )
        write(self.path, unit, 0o644)
        self.systemctl("daemon-reload")
        self.systemctl("enable", "--quiet", self.wanted["unit"])
        self.systemctl("restart", self.wanted["unit"])
        pid = self.systemctl("show", "--value", "-p", "MainPID", self.wanted["unit"])
        return {"pid": int(pid), "unit": self.wanted["unit"]}

    def is_running(self, known: dict[str, Any]) -> bool:
        """Tell whether systemd has it running now, and not about to be restarted."""
        if not known.get("unit"):
            return super().is_running(known)
        asked = ["systemctl", "is-active", "--quiet", known["unit"]]
        return subprocess.run(asked).returncode == 0

    def stop(self, known: dict[str, Any]) -> None:
        """Stop it, also if it has a unit: it may have the ports that are wanted."""
        if not known.get("unit"):
            super().stop(known)
        elif self.is_running(known):
            self.systemctl("stop", known["unit"])

    def systemctl(self, *words: str) -> str:
        """Return what systemctl says; raise `RuntimeError` for what it complains of."""
        done = subprocess.run(
            ["systemctl", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"systemctl {words[0]}: {done.stdout.strip()}")
        return done.stdout.strip()


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


def as_user(name: str) -> dict[str, Any]:
    """Return what makes `Popen` start a process of another user."""
    if not name:
        return {}
    account = pwd.getpwnam(name)
    groups = os.getgrouplist(name, account.pw_gid)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups}


def quoted(word: str) -> str:
    """Quote a word for systemd."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def write(path: str, text: str, mode: int) -> None:
    """Write a file that nobody else could read for even a moment."""
    if os.path.exists(path):
        os.unlink(path)
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(opened, "w") as to:
        to.write(text)


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


if __name__ == "__main__":
    main()
