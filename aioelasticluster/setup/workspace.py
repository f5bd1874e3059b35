"""The private folder of one run, and what a cluster's set-up keeps between runs.

Blocking file work: callers run it in a thread.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any, Self

from aioelasticluster._aio.processes import sweep
from aioelasticluster._process import ProcessIdentity
from aioelasticluster.setup.base import SetupCluster

#: Longest folder (characters) in which OpenSSH can make its sockets.
LONGEST_SOCKET_FOLDER = 60


#: The environment variable that all processes of a run share, and no other has.
MARK = "AIOEC_RUN"


def mark_of(token: str) -> str:
    """Return what every process of a run has in its environment."""
    return f"{MARK}={token}"


@dataclass(frozen=True, slots=True)
class ClusterFolder:
    """What set-up keeps of one cluster on this machine: gathered facts, runs."""

    path: Path

    @property
    def facts(self) -> Path:
        """Where Ansible caches the facts of the hosts."""
        return self.path / "facts"

    def forget_facts(self, hosts: Collection[str]) -> None:
        """Drop the facts of hosts that are set up now: they are gathered afresh."""
        if self.facts.exists():
            for file in list(self.facts.iterdir()):
                # Some versions of Ansible put a prefix such as `s1_` before it.
                if file.name in hosts or file.name.partition("_")[2] in hosts:
                    file.unlink(missing_ok=True)

    def forget_dead_runs(self) -> None:
        """End what is left of runs whose process was killed: theirs goes on without."""
        for path in list(self.path.glob("run-*")):
            try:
                owner, sockets = (path / "owner").read_text().splitlines()
            except (OSError, ValueError):
                continue  # being made, or being removed
            identity = ProcessIdentity.decoded(owner)
            if identity is not None and identity.dead:
                sweep(mark_of(path.name.removeprefix("run-")))
                RunFolder(path, Path(sockets)).remove()

    def remove(self) -> None:
        """Remove all of it."""
        self.forget_dead_runs()
        shutil.rmtree(self.path, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of one run of ansible-playbook; nobody else may look into it."""

    path: Path
    #: Where sockets are: their paths must be short, so not in the folder.
    sockets: Path

    @classmethod
    def named(cls, cluster: ClusterFolder, token: str) -> Self:
        """Return the folder of a run; nothing is made yet."""
        name, usual = f"aioec-{token}", Path(tempfile.gettempdir())
        short = len(str(usual / name)) < LONGEST_SOCKET_FOLDER
        sockets = (usual if short else Path("/tmp")) / name
        return cls(cluster.path / f"run-{token}", sockets)

    @property
    def inventory(self) -> Path:
        """The inventory, with the way to every host."""
        return self.path / "inventory.json"

    @property
    def variables(self) -> Path:
        """The extra variables, secrets among them."""
        return self.path / "variables.json"

    @property
    def limit(self) -> Path:
        """The names of the hosts that this run is limited to."""
        return self.path / "limit"

    @property
    def ssh_config(self) -> Path:
        """OpenSSH's configuration: it reads no other."""
        return self.path / "ssh_config"

    @property
    def known_hosts(self) -> Path:
        """The accepted host keys, by alias."""
        return self.path / "known_hosts"

    @property
    def output(self) -> Path:
        """What ansible-playbook prints."""
        return self.path / "output"

    @property
    def temporary(self) -> Path:
        """Where Ansible and its children put temporary files."""
        return self.path / "tmp"

    @property
    def done(self) -> Path:
        """Where ElastiCluster's own playbooks write that a host is done."""
        return self.path / "done"

    def make(self) -> None:
        """Make the folder, readable by this user only."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.path, self.sockets, self.temporary, self.done):
            folder.mkdir(mode=0o700)
        owner = ProcessIdentity.current().encoded()
        self.write(self.path / "owner", f"{owner}\n{self.sockets}\n")
        self.write(self.path / "ansible.cfg", "")

    def write(self, path: Path, text: str, mode: int = 0o600) -> None:
        """Write a file that nobody else could read for even a moment."""
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(opened, "w") as file:
            file.write(text)

    def write_plan(
        self,
        inventory: Mapping[str, Any],
        variables: Mapping[str, Any],
        targets: Collection[str],
    ) -> None:
        """Write what ansible-playbook is to work on."""
        self.write(self.inventory, json.dumps(inventory))
        self.write(self.variables, json.dumps(variables))
        self.write(self.limit, "\n".join([*targets, "localhost", ""]))

    def write_ssh(self, cluster: SetupCluster) -> None:
        """Write the way to the hosts: keys they may show, our key, the jump host."""
        self.write(self.known_hosts, known_hosts(cluster))
        self.write(self.ssh_config, ssh_config(cluster, self.known_hosts))

    def remove(self) -> None:
        """Remove the folder and its sockets; nothing to remove is success."""
        for folder in (self.path, self.sockets):
            shutil.rmtree(folder, ignore_errors=True)


def known_hosts(cluster: SetupCluster) -> str:
    """Return the lines of known_hosts: aliases, never addresses, for those return."""
    lines: list[str] = []
    for host in cluster.hosts:
        alias = cluster.alias_of(host)
        lines += [f"{alias} {key}" for key in host.host_keys]
        if cluster.host_ca:
            lines.append(f"@cert-authority {alias} {cluster.host_ca}")
    return "".join(f"{line}\n" for line in lines)


def ssh_config(cluster: SetupCluster, known: Path) -> str:
    """Return a configuration that trusts these host keys and offers our key only."""
    settings = {
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": quoted(known),
        "GlobalKnownHostsFile": "none",
        "CheckHostIP": "no",
        "UpdateHostKeys": "no",
        "VerifyHostKeyDNS": "no",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "ForwardAgent": "no",
        "ServerAliveInterval": "15",
        "ServerAliveCountMax": "4",
    }
    if cluster.private_key_path:
        settings["IdentityFile"] = quoted(cluster.private_key_path)
        settings["IdentitiesOnly"] = "yes"
    if cluster.proxy:
        settings["ProxyCommand"] = proxy_command(cluster)
    lines = [f"    {name} {value}" for name, value in settings.items()]
    return "\n".join(["Host *", *lines, ""])


def quoted(path: str | Path) -> str:
    """Quote a path, and keep OpenSSH from expanding what looks like a token."""
    return '"' + str(path).replace("\\", "\\\\").replace("%", "%%") + '"'


def proxy_command(cluster: SetupCluster) -> str:
    """Return the command that leads to %h and %p.

    A jump host is reached as the user reaches it: by their own configuration and
    known_hosts, for we have no host key of it.
    """
    if " " in cluster.proxy or "%" in cluster.proxy:
        return cluster.proxy
    login, _, place = cluster.proxy.rpartition("@")
    host, port = _split_port(place)
    words = ["ssh", "-W", "[%h]:%p"]
    if cluster.private_key_path:
        words += ["-i", quote(cluster.private_key_path).replace("%", "%%")]
    if port:
        words += ["-p", port]
    if login:
        words += ["-l", login]
    return " ".join([*words, host])


def _split_port(place: str) -> tuple[str, str]:
    """Split `host`, `host:port`, `[v6]:port`; an address with colons has no port."""
    if place.startswith("["):
        host, _, rest = place[1:].partition("]")
        return host, rest.removeprefix(":")
    if place.count(":") == 1:
        host, _, port = place.partition(":")
        return host, port
    return place, ""


def utf8_locale(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what to change so that Ansible finds the UTF-8 it insists on."""
    names = ("LC_ALL", "LC_CTYPE", "LANG")
    used = next((environment[name] for name in names if environment.get(name)), "")
    if "utf" in used.lower():
        return {}
    return {"LC_ALL": "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"}
