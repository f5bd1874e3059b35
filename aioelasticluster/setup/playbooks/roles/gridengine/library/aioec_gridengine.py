#!/usr/bin/python
"""An Ansible module: who is in a Grid Engine cluster, and in its queue."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: aioec_gridengine
short_description: who is in a Grid Engine cluster, and in its queue
description:
  - With O(admitted) there is a queue, and hosts may report and submit.
  - With O(workers) exactly these hosts are in the queue, as far as they report.
  - With O(retired) hosts leave. They get no more jobs; those that run are waited for.
    What is not done in time starts anew elsewhere (O(then=requeue)), or the hosts are
    in the queue again and it fails (O(then=fail)).
  - With O(serving) it fails unless the queue has this host, and the master hears of it.
options:
  admitted: {type: list, elements: str, default: [], description: Hosts.}
  queue: {type: str, default: all.q, description: The queue.}
  attributes: {type: dict, default: {}, description: The queue's attributes.}
  environments: {type: dict, default: {}, description: Allocation rules by name.}
  workers: {type: dict, description: Slots by host; empty, as many as processors.}
  awaited: {type: list, elements: str, default: [], description: Workers to wait for.}
  retired: {type: list, elements: str, default: [], description: Hosts that leave.}
  then: {type: str, default: requeue, description: What becomes of jobs in the end.}
  serving: {type: str, description: A host that must be in the queue.}
  timeout: {type: int, default: 60, description: How long to wait (seconds).}
"""

#: The host group that the queue's hosts are in.
GROUP = "@allhosts"

#: Attributes of a queue that nothing is said about, and limits that it does not set.
NOTHING = (
    "load_thresholds suspend_thresholds ckpt_list pe_list prolog epilog starter_method "
    "suspend_method resume_method terminate_method owner_list user_lists xuser_lists "
    "subordinate_list complex_values projects xprojects calendar"
)
LIMITS = "rt cpu fsize data stack core rss vmem"

#: A queue of the group, in the words of `qconf -sq`: it wants to be told all of them.
QUEUE = {
    "hostlist": GROUP,
    "seq_no": "0",
    "nsuspend": "1",
    "suspend_interval": "00:05:00",
    "priority": "0",
    "min_cpu_interval": "00:05:00",
    "processors": "UNDEFINED",
    "qtype": "BATCH INTERACTIVE",
    "rerun": "FALSE",
    "slots": "1",
    "tmpdir": "/tmp",
    "shell": "/bin/bash",
    "shell_start_mode": "posix_compliant",
    "notify": "00:00:60",
    "initial_state": "default",
    **dict.fromkeys(NOTHING.split(), "NONE"),
    **{f"{kind}_{what}": "INFINITY" for what in LIMITS.split() for kind in "sh"},
}

#: A parallel environment; `mpirun` starts its processes through Grid Engine.
ENVIRONMENT = {
    "slots": "999999",
    "user_lists": "NONE",
    "xuser_lists": "NONE",
    "start_proc_args": "NONE",
    "stop_proc_args": "NONE",
    "allocation_rule": "$pe_slots",
    "control_slaves": "TRUE",
    "job_is_first_task": "FALSE",
    "urgency_slots": "min",
    "accounting_summary": "FALSE",
    "qsort_args": "NONE",
}

#: A group without hosts.
EMPTY = {"hostlist": "NONE"}

#: The scheduler looks at once when a job comes or ends (seconds), not in turn only.
SCHEDULER = {"flush_submit_sec": "1", "flush_finish_sec": "1"}

#: How long (seconds) jobs may take to leave a host when they are to start elsewhere.
REQUEUEING = 30.0


class RefusedError(Exception):
    """Grid Engine did not do what it was asked; the text is its own."""


def main() -> None:
    """Do what is asked for; tell whether anything had to be changed."""
    module = AnsibleModule(
        argument_spec={
            "admitted": {"type": "list", "elements": "str", "default": []},
            "queue": {"type": "str", "default": "all.q"},
            "attributes": {"type": "dict", "default": {}},
            "environments": {"type": "dict", "default": {}},
            "workers": {"type": "dict"},
            "awaited": {"type": "list", "elements": "str", "default": []},
            "retired": {"type": "list", "elements": "str", "default": []},
            "then": {"default": "requeue", "choices": ["requeue", "fail"]},
            "serving": {"type": "str"},
            "timeout": {"type": "int", "default": 60},
        }
    )
    if module.params["retired"] and not shutil.which("qconf"):
        # No set-up has come so far that hosts could be in the queue.
        module.exit_json(changed=False, done=[])
    master = Master(module.params["queue"], module.params["timeout"])
    try:
        act(master, module.params)
    except (RefusedError, OSError) as fault:
        module.fail_json(msg=str(fault))
    module.exit_json(changed=bool(master.done), done=master.done)


def act(master: Master, wanted: dict[str, Any]) -> None:
    """Do what is asked for; raise `RefusedError` if Grid Engine does not."""
    if not master.wait(master.answers):
        raise RefusedError("the master does not answer")
    if wanted["admitted"]:
        master.arrange(wanted["environments"], wanted["attributes"])
        master.admit(wanted["admitted"])
    if wanted["workers"] is not None:
        master.fill(wanted["workers"], wanted["awaited"])
    if wanted["retired"]:
        master.retire(wanted["retired"], requeue=wanted["then"] == "requeue")
    if wanted["serving"]:
        master.check(wanted["serving"])


class Master:
    """The master of a cluster, as its commands show it; `done` are the changes."""

    def __init__(self, queue: str, timeout: float) -> None:
        self.queue = queue
        self.deadline = time.monotonic() + timeout
        self.done: list[str] = []

    def admit(self, hosts: list[str]) -> None:
        """Let hosts report to the master, and submit jobs."""
        for show, add in (("-sh", "-ah"), ("-ss", "-as")):
            known = {line.strip() for line in ask("qconf", show).splitlines()}
            for host in hosts:
                if host not in known:
                    self.change("qconf", add, host)

    def arrange(self, environments: dict[str, str], given: dict[str, Any]) -> None:
        """Have parallel environments, the group of hosts, and the queue."""
        self.set_up("-ssconf", "-Msconf", "", SCHEDULER)
        for name, rule in environments.items():
            rules = {"allocation_rule": str(rule)}
            self.set_up(
                "-sp", "-Mp", name, rules, "-Ap", {"pe_name": name}, ENVIRONMENT
            )
        self.set_up("-shgrp", "", GROUP, {}, "-Ahgrp", {"group_name": GROUP}, EMPTY)
        attributes = {name: str(value) for name, value in given.items()}
        used = attributes.setdefault(
            "pe_list", " ".join(sorted(environments)) or "NONE"
        )
        head = {"qname": self.queue}
        default = {**QUEUE, "pe_list": used}
        self.set_up("-sq", "-Mq", self.queue, attributes, "-Aq", head, default)

    def set_up(
        self,
        show: str,
        modify: str,
        name: str,
        wanted: dict[str, str],
        add: str = "",
        head: dict[str, str] | None = None,
        default: dict[str, str] | None = None,
    ) -> None:
        """Have an object with the wanted attributes; leave its other ones alone."""
        known = attributes_of(ask("qconf", show, *([name] if name else [])))
        if not known and add:
            self.write(add, {**(head or {}), **(default or {}), **wanted})
        elif any(known.get(each) != value for each, value in wanted.items()):
            self.write(modify, {**known, **wanted})

    def fill(self, workers: dict[str, Any], awaited: list[str]) -> None:
        """Have exactly these workers in the queue, as far as they report."""
        self.wait(lambda: not set(awaited) - set(self.processors()))
        found, present = self.processors(), set(self.members())
        self.expel(sorted(present - set(workers)))
        for host in sorted(set(found) & set(workers) - present):
            self.change("qconf", "-aattr", "hostgroup", "hostlist", host, GROUP)
        slots = dict(sorted(self.slots().items()))
        for host in sorted(set(found) & set(workers)):
            slots[host] = str(workers[host] or found[host])
        if slots != self.slots():
            each = ",".join(f"[{host}={count}]" for host, count in slots.items())
            self.change("qconf", "-rattr", "queue", "slots", f"1,{each}", self.queue)

    def check(self, host: str) -> None:
        """Raise `RefusedError` unless a host reports, and is in the queue."""
        if not self.wait(lambda: host in self.processors()):
            raise RefusedError(f"{host} does not report to the master")
        if not self.wait(lambda: host in self.members()):
            raise RefusedError(f"{host} is not in the queue {self.queue}")

    def retire(self, hosts: list[str], *, requeue: bool) -> None:
        """Give hosts no more jobs, wait for those that run, then forget the hosts."""
        inside = [host for host in hosts if host in self.members()]
        instances = [f"{self.queue}@{host}" for host in inside]
        for instance in instances:
            self.change("qmod", "-d", instance)
        left = self.wait(lambda: not self.running(inside))
        if not left and requeue:
            self.change("qmod", "-f", "-rq", *instances)
            self.deadline = time.monotonic() + REQUEUEING
            left = self.wait(lambda: not self.running(inside))
        if not left:
            jobs = ", ".join(self.running(inside))
            for instance in instances:
                ask("qmod", "-e", instance)
            raise RefusedError(f"these jobs still run: {jobs}; nothing was removed")
        self.expel(hosts)

    def expel(self, hosts: list[str]) -> None:
        """Forget hosts, as far as no job holds them."""
        for host in hosts:
            if host in self.members():
                self.change("qconf", "-dattr", "hostgroup", "hostlist", host, GROUP)
            if host in self.slots():
                ask("qconf", "-purge", "queue", "slots", f"{self.queue}@{host}")
            # The daemon first: one that was forgotten would not report again, should
            # the host stay after all.
            for remove in ("-ke", "-ds", "-dh", "-de"):
                ask("qconf", remove, host)

    def members(self) -> list[str]:
        """Return the hosts that are in the queue."""
        listed = attributes_of(ask("qconf", "-shgrp", GROUP)).get("hostlist", "NONE")
        return [] if listed == "NONE" else listed.split()

    def slots(self) -> dict[str, str]:
        """Return the slots of each host that has its own number of them."""
        text = attributes_of(ask("qconf", "-sq", self.queue)).get("slots", "")
        return dict(re.findall(r"\[([^\[\]=]+)=(\d+)\]", text))

    def processors(self) -> dict[str, int]:
        """Return the processors of each host that reports."""
        found = {}
        for host in ElementTree.fromstring(ask("qhost", "-xml")).iter("host"):
            values = {value.get("name"): value.text for value in host}
            if (values.get("num_proc") or "-") != "-":
                found[str(host.get("name"))] = int(str(values["num_proc"]))
        return found

    def running(self, hosts: list[str]) -> list[str]:
        """Return the numbers of the jobs that run on hosts."""
        jobs: set[str] = set()
        for host in hosts:
            where = ("-q", f"*@{host}")
            lines = ask("qstat", "-u", "*", "-s", "rs", *where).splitlines()
            jobs |= {line.split()[0] for line in lines[2:] if line.strip()}
        return sorted(jobs)

    def answers(self) -> bool:
        """Tell whether the master answers at all."""
        return bool(ask("qconf", "-sh"))

    def wait(self, ready: Callable[[], bool]) -> bool:
        """Ask until it is so; return False when the time is up."""
        while not ready():
            if time.monotonic() > self.deadline:
                return False
            time.sleep(0.5)
        return True

    def write(self, option: str, attributes: dict[str, str]) -> None:
        """Give Grid Engine an object as a file."""
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.writelines(f"{name} {value}\n" for name, value in attributes.items())
            file.flush()
            self.change("qconf", option, file.name)

    def change(self, *command: str) -> None:
        """Run a command that changes something; raise `RefusedError` if it does not."""
        result = run(*command)
        if result.returncode:
            words = " ".join(result.stdout.split())
            raise RefusedError(f"{' '.join(command)}: {words}")
        self.done.append(" ".join(command))


def attributes_of(text: str) -> dict[str, str]:
    """Return the attributes in what `qconf` shows; nothing where there are none."""
    found = {}
    for line in text.replace("\\\n", " ").splitlines():
        name, _, value = line.partition(" ")
        found[name] = " ".join(value.split())
    return found


def ask(*command: str) -> str:
    """Return what a command says, nothing if it fails."""
    result = run(*command)
    return "" if result.returncode else result.stdout


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the language that is parsed here."""
    return subprocess.run(
        command,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


if __name__ == "__main__":
    main()
