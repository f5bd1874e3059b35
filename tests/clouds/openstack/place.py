"""Where one cloud runs: its folder, its services' addresses, its servers' networks."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: The services, in the order in which they are waited for.
SERVICES = ("keystone", "placement", "glance", "neutron", "nova")

#: The services' databases.
DATABASES = (
    *("keystone", "placement", "glance", "neutron"),
    *("nova_api", "nova_cell0", "nova_cell1"),
)

#: Where below its address a service begins.
_PATHS = {"keystone": "/v3", "nova": "/v2.1", "cinder": "/v3"}

#: On which port a cloud holds its networks; nobody else uses it on these addresses.
_LOCK_PORT = 4022

#: The second numbers of servers' addresses. Those from 16 on are other test clouds'.
_SECONDS = range(1, 16)


@dataclass(frozen=True, slots=True)
class Ports:
    """A service's two ports: what users see, and where services ask one another."""

    public: int
    internal: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One cloud's place. `network` is how all its servers' addresses begin."""

    folder: Path
    environment: Path
    ports: Mapping[str, Ports]
    network: str

    def url(self, service: str, *, public: bool = False) -> str:
        """Return a service's endpoint."""
        ports = self.ports[service]
        port = ports.public if public else ports.internal
        return f"http://127.0.0.1:{port}{_PATHS.get(service, '')}"

    def database(self, name: str) -> Path:
        """Return the file of a database."""
        return self.folder / "databases" / f"{name}.sqlite"

    def settings(self, service: str) -> Path:
        """Return the folder with a service's settings."""
        return self.folder / "settings" / service

    def log(self, name: str) -> Path:
        """Return the file with what a program prints."""
        return self.folder / "log" / f"{name}.log"

    def requests(self, service: str) -> Path:
        """Return the file with the requests that a service's users have made."""
        return self.folder / "requests" / f"{service}.jsonl"

    def make(self) -> None:
        """Make the folders."""
        for name in (
            *("databases", "fernet", "credentials", "images", "locks", "log"),
            *("requests", "settings", "staging", "state/instances"),
        ):
            (self.folder / name).mkdir(parents=True)
        for service in self.ports:
            self.settings(service).mkdir()
            self.requests(service).touch()


class Network:
    """Loopback addresses for one cloud's servers, ours for as long as it is open."""

    def __init__(self) -> None:
        self._lock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.prefix = self._claimed()

    def _claimed(self) -> str:
        for second in _SECONDS:
            try:
                self._lock.bind((f"127.{second}.255.254", _LOCK_PORT))
            except OSError:
                continue
            return f"127.{second}"
        self._lock.close()
        raise RuntimeError("all loopback addresses for servers are in use")

    def close(self) -> None:
        """Leave the addresses to others."""
        self._lock.close()


def listening() -> socket.socket:
    """Return a socket that listens on a free port of 127.0.0.1."""
    return socket.create_server(("127.0.0.1", 0), backlog=128)
