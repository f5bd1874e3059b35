"""Real SSH servers for the cloud's servers: there while a server is on.

The fake hypervisor says what becomes of servers, neutron where floating addresses
lead. The hosts themselves are those of the EC2 server.
"""

from __future__ import annotations

import base64
import json
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from tests.clouds.ec2.host_keys import boot_plan, public_half
from tests.clouds.ec2.keeper import SSH_PORT
from tests.clouds.openstack.processes import ROOT
from tests.clouds.openstack.services.guests import CONSOLES

#: How long (seconds) the process of hosts may take to end by itself.
_PATIENCE = 5.0


@dataclass(slots=True)
class Guest:
    """A server of the cloud as its host has to know it."""

    id: str
    name: str
    addresses: tuple[str, ...]
    host_key: str
    authorized_keys: tuple[str, ...]
    on: bool = True

    @classmethod
    def told(cls, message: Mapping[str, Any]) -> Guest:
        """Make one of what the hypervisor was told."""
        plan = boot_plan(base64.b64decode(message["user_data"] or ""))
        host_key = plan.host_key
        if public_half(host_key) is None:
            made = asyncssh.generate_private_key("ssh-ed25519")
            host_key = made.export_private_key("openssh").decode()
        keys = (message["key"], *plan.authorized_keys)
        return cls(
            message["id"],
            message["name"],
            tuple(message["addresses"]),
            host_key,
            tuple(key.strip() for key in keys if key),
        )

    def console(self) -> str:
        """Return what its first boot writes on its console."""
        key = public_half(self.host_key)
        assert key is not None
        shown = key.export_public_key().decode().split()[:2]
        lines = (
            f"{self.name} login: cloud-init running",
            "-----BEGIN SSH HOST KEY KEYS-----",
            f"{' '.join(shown)} root@{self.name}",
            "-----END SSH HOST KEY KEYS-----",
        )
        return "".join(f"{line}\r\n" for line in lines)


class Hosts:
    """Keeps the hosts as the services tell, one event after another."""

    def __init__(self, process: subprocess.Popen[bytes], consoles: Path) -> None:
        self._process, self._consoles = process, consoles
        self._turn = threading.Lock()
        self._guests: dict[str, Guest] = {}
        self._floating: dict[str, str] = {}
        self._events = {
            "spawned": self._spawned,
            "destroyed": self._destroyed,
            "on": self._on,
            "off": self._off,
            "floating": self._moved,
        }

    def hear(self, message: Mapping[str, Any]) -> None:
        """Do what an event calls for."""
        with self._turn:
            self._events[message["event"]](message)

    def _spawned(self, message: Mapping[str, Any]) -> None:
        guest = Guest.told(message)
        self._guests[guest.id] = guest
        self._open(guest)
        (self._consoles / guest.id).write_text(guest.console())

    def _destroyed(self, message: Mapping[str, Any]) -> None:
        if self._guests.pop(message["id"], None):
            self._ask({"close": [message["id"]], "wipe": [message["id"]]})
            (self._consoles / message["id"]).unlink()

    def _on(self, message: Mapping[str, Any]) -> None:
        if guest := self._guests.get(message["id"]):
            guest.on = True
            self._open(guest)

    def _off(self, message: Mapping[str, Any]) -> None:
        if guest := self._guests.get(message["id"]):
            guest.on = False
            self._ask({"close": [guest.id]})

    def _moved(self, message: Mapping[str, Any]) -> None:
        """Let a floating address lead elsewhere, or nowhere."""
        affected = {self._floating.pop(message["address"], None), message["leads_to"]}
        if message["leads_to"]:
            self._floating[message["address"]] = message["leads_to"]
        for guest in self._guests.values():
            if guest.on and affected.intersection(guest.addresses):
                self._open(guest)

    def _open(self, guest: Guest) -> None:
        floating = [
            address
            for address, leads_to in self._floating.items()
            if leads_to in guest.addresses
        ]
        order = {
            "id": guest.id,
            "name": guest.name,
            "addresses": [
                # A subnet that a test has made may be anywhere.
                *(one for one in guest.addresses if one.startswith("127.")),
                *floating,
            ],
            "port": SSH_PORT,
            "host_key": guest.host_key,
            "authorized_keys": guest.authorized_keys,
        }
        if order["addresses"]:
            self._ask({"open": [order]})

    def _ask(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        for host, fault in answer["faults"].items():
            sys.stderr.write(f"no SSH server for {host}: {fault}\n")


class _Line(socketserver.StreamRequestHandler):
    """What one service tells."""

    server: _Ear

    def handle(self) -> None:
        for line in self.rfile:
            self.server.hosts.hear(json.loads(line))


class _Ear(socketserver.ThreadingUnixStreamServer):
    """Where services tell what has become of servers."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, path: Path, hosts: Hosts) -> None:
        super().__init__(str(path), _Line)
        self.hosts = hosts


@contextmanager
def keeping_hosts(folder: Path, socket: Path) -> Iterator[int]:
    """Keep hosts for the block, as is told at a socket; yield their process's id."""
    consoles = socket.with_name(CONSOLES)
    consoles.mkdir()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.clouds.ec2.hosts", str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdin
        try:
            with _Ear(socket, Hosts(process, consoles)) as ear:
                threading.Thread(target=ear.serve_forever, daemon=True).start()
                try:
                    yield process.pid
                finally:
                    ear.shutdown()
        finally:
            process.stdin.close()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
