"""What benchmarks share: meters, an interpreter for each measurement, a peer's SSH."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]

#: What a plain client does: threads at most, and seconds between two tries.
THREADS, PAUSE = 32, 0.1

#: How long (seconds) a plain client tries.
TRYING = 150.0


class Meter:
    """Wall and CPU seconds of this process since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), _cpu_seconds()

    @property
    def wall(self) -> float:
        return time.perf_counter() - self._wall

    @property
    def cpu(self) -> float:
        return _cpu_seconds() - self._cpu


def _cpu_seconds() -> float:
    usage = getrusage(RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def machine() -> Row:
    """Return what the figures depend on."""
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


def measured_apart(script: str, *arguments: str, patience: float) -> Row:
    """Return what a script prints after `--one` and its arguments, run afresh."""
    command = [sys.executable, script, "--one", *arguments]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, timeout=patience
    )
    row: Row = json.loads(done.stdout)
    return row


@contextmanager
def fresh_key() -> Iterator[Path]:
    """Give a private key, its public half beside it, for one measurement."""
    import asyncssh

    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder, "key")
        key.touch(mode=0o600)
        pair = asyncssh.generate_private_key("ssh-ed25519")
        pair.write_private_key(key)
        pair.write_public_key(f"{key}.pub")
        yield key


# How scripts reach their nodes


def reach_all(addresses: Sequence[tuple[str, int]], key: Path) -> int:
    """Run `true` at all addresses from a pool of threads; return how many tries."""
    with ThreadPoolExecutor(min(THREADS, len(addresses))) as pool:
        return sum(pool.map(partial(reach, key=key), addresses))


def reach(address: tuple[str, int], key: Path) -> int:
    """Connect until a node answers, and run `true`; return how many tries."""
    import paramiko

    host, port = address
    tries, deadline = 0, time.monotonic() + TRYING
    while True:
        tries += 1
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        try:
            client.connect(
                host,
                port=port,
                username="debian",
                key_filename=str(key),
                allow_agent=False,
                look_for_keys=False,
            )
            _, output, _ = client.exec_command("true")
            if output.channel.recv_exit_status() == 0:
                return tries
        except (OSError, paramiko.SSHException):
            if time.monotonic() > deadline:
                raise
        finally:
            client.close()
        time.sleep(PAUSE)
