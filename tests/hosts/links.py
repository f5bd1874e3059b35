"""The line between this machine and an engine's network namespace."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.hosts.kernel import FORWARDING
from tests.hosts.slots import Slot


@contextmanager
def linked(slot: Slot, pid: int) -> Iterator[None]:
    """Connect the network namespace of a process with this machine for the block.

    Containers there can be reached from here, and reach the outside through here. The
    line goes with the namespace, the rules and the way with the block.
    """
    rules = _rules(slot)
    for rule in rules:
        _without(rule)  # a killed run's
    _run("ip", "link", "delete", slot.link, check=False)
    peer = ("peer", "name", "eth0", "netns", str(pid))
    _run("ip", "link", "add", slot.link, "type", "veth", *peer)
    try:
        _run("ip", "address", "add", f"{slot.outside}/30", "dev", slot.link)
        _run("ip", "link", "set", slot.link, "up")
        _inside(pid, "ip", "link", "set", "lo", "up")
        _inside(pid, "ip", "address", "add", f"{slot.inside}/30", "dev", "eth0")
        _inside(pid, "ip", "link", "set", "eth0", "up")
        _inside(pid, "ip", "route", "add", "default", "via", slot.outside)
        _inside(pid, "sh", "-c", f"echo 1 >{FORWARDING}")
        _run("ip", "route", "add", slot.network, "via", slot.inside)
        for rule in rules:
            _run("iptables", "--wait", *rule)
        yield
    finally:
        for rule in rules:
            _without(rule)
        _run("ip", "link", "delete", slot.link, check=False)


def _rules(slot: Slot) -> list[list[str]]:
    """Return the rules by which containers reach the outside."""
    mine = ["-m", "comment", "--comment", slot.link]
    hide = ["!", "-d", slot.network, "-j", "MASQUERADE"]
    return [
        ["-t", "nat", "-I", "POSTROUTING", "-s", slot.network, *mine, *hide],
        ["-I", "FORWARD", "-s", slot.network, *mine, "-j", "ACCEPT"],
        ["-I", "FORWARD", "-d", slot.network, *mine, "-j", "ACCEPT"],
    ]


def _without(rule: list[str]) -> None:
    """Remove a rule, however often it is there."""
    gone = ["-D" if word == "-I" else word for word in rule]
    while _run("iptables", "--wait", *gone, check=False).returncode == 0:
        pass


def other_engines() -> bool:
    """Whether another engine's line is there, which needs the same of the kernel."""
    return any(Path("/sys/class/net").glob("aioec-test*"))


def _inside(pid: int, *command: str) -> None:
    _run("nsenter", "--target", str(pid), "--net", *command)


def _run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done
