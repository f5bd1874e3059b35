"""Hosts to set up: real SSH servers on loopback, each with a home and a key."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from anyio import to_thread
from blockbuster import blockbuster_ctx

from aioelasticluster._aio.processes import marked, sweep
from aioelasticluster.model.capabilities import Capabilities
from aioelasticluster.model.events import Event, SetupTaskDone, SetupTaskStarted
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

    def provider(self, **settings: Any) -> AnsibleSetupProvider:
        defaults = {
            "groups": {"frontend": [], "compute": []},
            "work_dir": self.folder / "work",
            "cache_dir": self.folder / "cache",
        }
        return AnsibleSetupProvider(**{**defaults, **settings})

    def playbook(self, text: str, name: str = "mine.yml") -> Path:
        path = self.folder / "playbooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def told(self, status: str) -> list[tuple[str, str]]:
        """Return host and task of every result with this status."""
        return [
            (event.node, event.task)
            for event in self.events
            if isinstance(event, SetupTaskDone) and event.status == status
        ]

    def listening(self, listen: Callable[[Event], None]) -> SetupCluster:
        """Return the cluster with another listener."""
        return replace(self.cluster, listen=listen)

    def changed(self, host: str, **facts: Any) -> SetupCluster:
        """Return the cluster with other facts about one host."""
        hosts = (
            replace(one, **facts) if one.name == host else one
            for one in self.cluster.hosts
        )
        return replace(self.cluster, hosts=tuple(hosts))

    async def left_behind(self) -> list[object]:
        """Return the files and processes of a run that outlived it."""
        return await to_thread.run_sync(self._left_behind)

    def _left_behind(self) -> list[object]:
        facts = self.folder / "work" / CLUSTER_ID / "facts"
        files = [*(self.folder / "work").rglob("*"), *Path(tempfile.tempdir).iterdir()]  # type: ignore[arg-type]  # set by the fixture
        processes = marked(f"ANSIBLE_HOME={self.folder}/work")
        kept = (facts.parent, facts)
        return [
            *(path for path in files if path not in kept and path.parent != facts),
            *processes,
        ]


def on_task(task: str, act: Callable[[], None]) -> Callable[[Event], None]:
    """Return a listener that acts when a task begins."""

    def listen(event: Event) -> None:
        if isinstance(event, SetupTaskStarted) and event.task == task:
            act()

    return listen


def _write_key(path: Path, passphrase: str | None = None) -> str:
    key = asyncssh.generate_private_key("ssh-ed25519")
    path.write_bytes(key.export_private_key(passphrase=passphrase))
    path.chmod(0o600)
    return key.export_public_key().decode().strip()


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder: wheels are fetched once for all tests, as for a user."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def make_rig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Rig]]:
    # Short, for sockets; its own, so that what is left in it is ours.
    monkeypatch.setattr(tempfile, "tempdir", tempfile.mkdtemp("", "t", "/tmp"))
    servers: list[subprocess.Popen[str]] = []

    def make(names: list[str], passphrase: str = "") -> Rig:
        public = _write_key(tmp_path / "user_key", passphrase or None)
        (tmp_path / "authorized").write_text(f"{public}\n")
        plan = {
            name: {
                "address": f"127.0.7.{number}",
                "home": str(tmp_path / "hosts" / name),
                "temporary": str(tmp_path / "hosts" / f"{name}.tmp"),
                "key": str(tmp_path / f"{name}_key"),
            }
            for number, name in enumerate(names, start=1)
        }
        keys = {name: _write_key(Path(host["key"])) for name, host in plan.items()}
        ports = _serve(tmp_path, plan, servers)
        events: list[Event] = []
        cluster = SetupCluster(
            id=CLUSTER_ID,
            name="demo",
            hosts=tuple(
                SetupHost(
                    name=name,
                    kind=name.rstrip("0123456789"),
                    address=host["address"],
                    port=ports[name],
                    login="debian",
                    host_keys=(keys[name],),
                )
                for name, host in plan.items()
            ),
            private_key_path=str(tmp_path / "user_key"),
            passphrase=passphrase,
            proxy="",
            capabilities=Capabilities(root=False, systemd=False, python=sys.executable),
            listen=events.append,
        )
        return Rig(tmp_path, cluster, events)

    yield make
    for server in servers:
        server.communicate("")
    # Daemons outlive the sessions that started them, as they should.
    sweep(f"AIOEC_TEST_RIG={tmp_path}\0", grace=5.0)
    shutil.rmtree(str(tempfile.tempdir))


def _serve(
    folder: Path, plan: dict[str, dict[str, str]], servers: list[subprocess.Popen[str]]
) -> dict[str, int]:
    """Start one process for all hosts; return their ports."""
    for host in plan.values():
        for path in (host["home"], host["temporary"]):
            Path(path).mkdir(parents=True)
    settings = {"hosts": plan, "authorized": str(folder / "authorized")}
    (folder / "plan.json").write_text(json.dumps(settings))
    script = str(Path(__file__).with_name("ssh_hosts.py"))
    server = subprocess.Popen(
        [sys.executable, script, str(folder / "plan.json")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "AIOEC_TEST_RIG": str(folder)},
        text=True,
    )
    servers.append(server)
    assert server.stdout
    ports: dict[str, int] = json.loads(server.stdout.readline())
    return ports


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    return make_rig(["frontend001", "compute001", "compute002"])


@pytest.fixture
def unblocked() -> Iterator[None]:
    """Fail the test if the set-up side blocks the event loop."""
    with blockbuster_ctx("aioelasticluster"):
        yield
