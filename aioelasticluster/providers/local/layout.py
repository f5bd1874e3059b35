"""What lies where in the state folder; shared by the client and the parent process."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class InstanceFolder:
    """The files of one instance."""

    path: Path

    @property
    def id(self) -> str:
        """The instance's id."""
        return self.path.name

    @property
    def record(self) -> Path:
        """What was ordered; its absence means that the launch was cut off."""
        return self.path / "instance.json"

    @property
    def process(self) -> Path:
        """Holds the server's pid; locked by the server for as long as it lives."""
        return self.path / "server.pid"

    @property
    def up(self) -> Path:
        """Exists once the server listens."""
        return self.path / "up"

    @property
    def log(self) -> Path:
        """What happened, one JSON object a line: `at` (wall clock), `event` …."""
        return self.path / "log.jsonl"

    @property
    def errors(self) -> Path:
        """What the server wrote to its standard error."""
        return self.path / "errors.txt"

    @property
    def host_key(self) -> Path:
        """The private host key, alone in a folder with its public half."""
        return self.path / "ssh" / "host_ed25519_key"

    @property
    def home(self) -> Path:
        """HOME of its sessions."""
        return self.path / "home"

    @property
    def temporary(self) -> Path:
        """TMPDIR of its sessions."""
        return self.path / "tmp"


@dataclass(frozen=True, slots=True)
class StateFolder:
    """The state of one local cloud."""

    path: Path

    @property
    def lock(self) -> Path:
        """Locked by the parent process for as long as it lives."""
        return self.path / "parent.lock"

    @property
    def contact(self) -> Path:
        """Says how to reach the parent: port and secret."""
        return self.path / "parent.json"

    @property
    def log(self) -> Path:
        """What the parent wrote to its standard error."""
        return self.path / "parent.log"

    @property
    def instances(self) -> Path:
        """One folder per instance."""
        return self.path / "instances"

    @property
    def orders(self) -> Path:
        """One file per order of which an instance exists, named by its token."""
        return self.path / "orders"

    @property
    def keys(self) -> Path:
        """The key pairs' public halves."""
        return self.path / "keys"

    def instance(self, identifier: str) -> InstanceFolder:
        """Return an instance's folder; it need not exist."""
        return InstanceFolder(self.instances / identifier)

    def in_use(self) -> bool:
        """Tell whether any instance is left in the folder."""
        try:
            with os.scandir(self.instances) as entries:
                return any(entries)
        except FileNotFoundError:
            return False


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 in one step: readers see the old or the new text."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write plain data in one step, readable by the user alone."""
    write_private(path, json.dumps(value))
