"""How to start each container engine, beside whatever runs on this machine."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.hosts.slots import Slot

#: What all engines need here, beside their own programs.
_TOOLS = ("ip", "iptables", "nsenter", "unshare")

#: What containers may open, and how many processes may be; a machine that does not let
#: root raise its limits lets no container have more. Both limits are the same, since
#: Podman 4.3 takes the one for the other.
_FILES = _PROCESSES = "4096:4096"


@dataclass(frozen=True, slots=True)
class Engine:
    """A kind of engine: the programs it needs, and the command that serves its API.

    `command` writes the settings it needs into the given run folder; its data are in
    the slot's folder.
    """

    name: str
    programs: tuple[str, ...]
    command: Callable[[Slot, Path], tuple[list[str], Mapping[str, str]]]

    def why_not(self) -> str:
        """Return why it cannot run here, "" if it can."""
        if os.geteuid() != 0:
            return "only root can start a container engine"
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        missing = [
            name
            for name in (*self.programs, *_TOOLS)
            if shutil.which(name, path=path) is None
        ]
        return f"not installed: {', '.join(missing)}" if missing else ""


def socket_in(run: Path) -> Path:
    """Return where an engine listens."""
    return run / "sock"


def _docker(slot: Slot, run: Path) -> tuple[list[str], Mapping[str, str]]:
    settings = run / "daemon.json"  # or it would read the machine's own
    settings.write_text("{}")
    command = [
        "dockerd",
        f"--config-file={settings}",
        f"--host=unix://{socket_in(run)}",
        f"--data-root={slot.folder / 'data'}",
        f"--exec-root={run / 'exec'}",
        f"--pidfile={run / 'pid'}",
        f"--default-address-pool=base={slot.pool},size=24",
        f"--default-ulimit=nofile={_FILES}",
        # The line to this machine does the rest, so there is nothing to tidy up.
        "--bridge=none",
        "--iptables=false",
        "--userland-proxy=false",
        "--log-level=warn",
    ]
    return command, {}


def _podman(slot: Slot, run: Path) -> tuple[list[str], Mapping[str, str]]:
    # crun, the other one, does not run where both versions of cgroups are mounted.
    runtime = "runc" if shutil.which("runc") else "crun"
    (run / "containers.conf").write_text(
        f"""\
[containers]
default_ulimits = ["nofile={_FILES}", "nproc={_PROCESSES}"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "{runtime}"
[network]
default_subnet_pools = [{{"base" = "{slot.pool}", "size" = 24}}]
"""
    )
    (run / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\nrunroot = "{run / "storage"}"\n'
        f'graphroot = "{slot.folder / "data"}"\n'
    )
    command = [
        "podman",
        f"--tmpdir={run / 'tmp'}",
        f"--network-config-dir={run / 'networks'}",
        "system",
        "service",
        "--time=0",
        f"unix://{socket_in(run)}",
    ]
    environment = {
        "CONTAINERS_CONF": str(run / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(run / "storage.conf"),
    }
    return command, environment


ENGINES: Mapping[str, Engine] = {
    "docker": Engine("docker", ("dockerd", "containerd", "runc"), _docker),
    "podman": Engine("podman", ("podman", "conmon"), _podman),
}


def told(url: str, pid: int, run: Path) -> str:
    """Return what a supervisor says of its engine, on one line."""
    return json.dumps({"url": url, "pid": pid, "run": str(run)})
