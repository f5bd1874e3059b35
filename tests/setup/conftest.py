"""Hosts to set up: real SSH servers on loopback, each with a home and a key."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import asyncssh
import pytest

from aioelasticluster.model.capabilities import Capabilities
from aioelasticluster.model.events import Event, SetupTaskDone
from aioelasticluster.setup.ansible import AnsibleSetupProvider
from aioelasticluster.setup.base import SetupCluster, SetupHost

CLUSTER_ID = "0123456789abcdef0123456789abcdef"


@dataclass
class Rig:
    """A cluster of real hosts, and what it told while it was set up."""

    folder: Path
    cluster: SetupCluster
    events: list[Event] = field(default_factory=list)

    def home(self, name: str) -> Path:
        return self.folder / "hosts" / name

    def provider(self, **settings: object) -> AnsibleSetupProvider:
        defaults = {
            "groups": {"frontend": [], "compute": []},
            "work_dir": self.folder / "work",
            "cache_dir": self.folder / "cache",
        }
        return AnsibleSetupProvider(**{**defaults, **settings})  # type: ignore[arg-type]  # free on purpose

    def playbook(self, text: str, name: str = "mine.yml") -> Path:
        path = self.folder / "playbooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def told(self, status: str) -> list[tuple[str, str]]:
        return [
            (event.node, event.task)
            for event in self.events
            if isinstance(event, SetupTaskDone) and event.status == status
        ]

    def changed(self, host: str, **facts: object) -> SetupCluster:
        """Return the cluster with other facts about one host."""
        hosts = (
            replace(one, **facts) if one.name == host else one  # type: ignore[arg-type]  # free on purpose
            for one in self.cluster.hosts
        )
        return replace(self.cluster, hosts=tuple(hosts))

    def left_behind(self) -> list[str]:
        """Return the files that a run should have removed."""
        facts = self.folder / "work" / CLUSTER_ID / "facts"
        return [
            str(path)
            for path in (self.folder / "work").rglob("*")
            if path.is_file() and path.parent != facts
        ]


def _write_key(path: Path, passphrase: str | None = None) -> str:
    key = asyncssh.generate_private_key("ssh-ed25519")
    path.write_bytes(key.export_private_key(passphrase=passphrase))
    path.chmod(0o600)
    return key.export_public_key().decode().strip()


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    servers: list[subprocess.Popen[str]] = []

    def make(names: list[str], passphrase: str = "") -> Rig:
        user_key = tmp_path / "user_key"
        (tmp_path / "authorized").write_text(
            _write_key(user_key, passphrase or None) + "\n"
        )
        plan: dict[str, dict[str, str]] = {}
        keys: dict[str, str] = {}
        for number, name in enumerate(names):
            home = tmp_path / "hosts" / name
            home.mkdir(parents=True)
            keys[name] = _write_key(tmp_path / f"{name}_key")
            plan[name] = {
                "address": f"127.0.7.{number + 1}",
                "home": str(home),
                "key": str(tmp_path / f"{name}_key"),
            }
        plan_file = tmp_path / "plan.json"
        authorized = str(tmp_path / "authorized")
        plan_file.write_text(json.dumps({"hosts": plan, "authorized": authorized}))
        script = str(Path(__file__).with_name("ssh_hosts.py"))
        server = subprocess.Popen(
            [sys.executable, script, str(plan_file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        servers.append(server)
        assert server.stdout
        ports = json.loads(server.stdout.readline())
        hosts = tuple(
            SetupHost(
                name=name,
                kind=name.rstrip("0123456789"),
                address=plan[name]["address"],
                port=ports[name],
                login="test",
                host_keys=(keys[name],),
            )
            for name in names
        )
        events: list[Event] = []
        cluster = SetupCluster(
            id=CLUSTER_ID,
            name="demo",
            hosts=hosts,
            private_key_path=str(user_key),
            passphrase=passphrase,
            proxy="",
            capabilities=Capabilities(root=False, systemd=False, python=sys.executable),
            listen=events.append,
        )
        return Rig(tmp_path, cluster, events)

    yield make
    for server in servers:
        server.communicate("")


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    return make_rig(["frontend001", "compute001", "compute002"])
