"""Ends instances: every process that was started in them, then their folders."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from aioelasticluster.providers.local.layout import InstanceFolder
from aioelasticluster.providers.local.server.locks import server_of
from aioelasticluster.providers.local.server.processes import belonging_to, send

#: How long (seconds) killed processes may take to vanish.
_PATIENCE = 20.0


def bury(folders: Mapping[str, InstanceFolder]) -> None:
    """End instances and remove their folders; a folder that stays says it failed."""
    servers = {name: server_of(folder) for name, folder in folders.items()}
    # A stopped server starts nothing new, and still is the one that its orphans
    # belong to: so it goes last.
    send([pid for pid in servers.values() if pid], signal.SIGSTOP)
    if _killed(lambda: _others(servers)) and _killed(lambda: _servers(folders)):
        for folder in folders.values():
            _remove(folder.path)


def _others(servers: Mapping[str, int | None]) -> list[int]:
    """Return the instances' processes without the servers, the youngest first."""
    known = set(servers.values())
    groups = belonging_to(servers).values()
    return [pid for group in groups for pid in reversed(group) if pid not in known]


def _servers(folders: Mapping[str, InstanceFolder]) -> list[int]:
    """Return the servers, and whatever else is left of their instances."""
    servers = {name: server_of(folder) for name, folder in folders.items()}
    return [pid for group in belonging_to(servers).values() for pid in group]


def _killed(find: Callable[[], list[int]]) -> bool:
    """Kill what is found until nothing is found any more."""
    deadline = time.monotonic() + _PATIENCE
    while pids := find():
        send(pids, signal.SIGKILL)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def _remove(path: Path) -> None:
    """Remove a folder; what cannot be removed stays, as the caller will notice."""
    shutil.rmtree(path, ignore_errors=True)
    if not path.exists():
        return
    # Folders that forbid it, as the caches of Go and Nix are.
    for folder, names, _ in os.walk(path):
        for inner in (os.path.join(folder, name) for name in names):
            if not os.path.islink(inner):
                os.chmod(inner, stat.S_IRWXU)
    shutil.rmtree(path, ignore_errors=True)
