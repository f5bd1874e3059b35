"""The programs of one cloud: started together, each ended when we are."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.clouds.openstack.installation import Cache
from tests.clouds.openstack.place import SERVICES, Place, Ports, listening
from tests.clouds.openstack.settings import environment

ROOT = Path(__file__).parents[3]

#: How many requests each service answers at a time.
_THREADS = {
    **{"keystone": 8, "placement": 8, "glance": 4, "neutron": 8, "nova": 12},
    "cinder": 8,
}

#: How long (seconds) a service may take until it answers, on a busy machine.
_START = 240.0

#: How long (seconds) programs may take to end by themselves.
_END = 5.0

# No proxy may stand between us and our services.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Sockets:
    """Each service's listening sockets. Who connects early waits until it is up."""

    def __init__(self, services: Iterable[str] = SERVICES) -> None:
        self._pairs = {name: (listening(), listening()) for name in services}

    def ports(self) -> Mapping[str, Ports]:
        """Return on which ports they listen."""
        return {
            name: Ports(*(one.getsockname()[1] for one in pair))
            for name, pair in self._pairs.items()
        }

    def of(self, service: str) -> tuple[socket.socket, socket.socket]:
        """Return a service's public and its internal socket."""
        return self._pairs[service]

    def close(self, service: str) -> None:
        """Leave a service's sockets to the service alone: if it ends, they do."""
        for one in self._pairs[service]:
            one.close()

    def close_all(self) -> None:
        """Close what is still open."""
        for service in self._pairs:
            self.close(service)


class Programs:
    """What runs for one cloud. Leaving the block ends all of it, by process id."""

    def __init__(self, cache: Cache, place: Place) -> None:
        self._cache, self._place = cache, place
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._running.values():
            if process.stdin:
                process.stdin.close()
        deadline = time.monotonic() + _END
        for process in self._running.values():
            _end(process, deadline)
        self._running.clear()

    def pids(self) -> dict[str, int]:
        """Return the process id of each program."""
        return {name: process.pid for name, process in self._running.items()}

    def run(self, name: str, *arguments: object, **variables: str) -> None:
        """Start a Python program of the services' environment."""
        with self._place.log(name).open("ab") as log:
            self._running[name] = self._start(log, arguments, variables)

    def _start(
        self,
        log: IO[bytes],
        arguments: tuple[object, ...],
        variables: Mapping[str, str],
        keep: tuple[int, ...] = (),
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [str(self._cache.python), *map(str, arguments)],
            cwd=self._place.folder,
            env={**self._environment(), **variables},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=keep,
            start_new_session=True,
        )

    def _environment(self) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("OS_", "PYTHON"))
            and not name.lower().endswith("_proxy")
        }
        return {
            **inherited,
            **environment(self._place),
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
            "XDG_CACHE_HOME": str(self._cache.folder),  # lists of entry points
        }

    def serve(self, service: str, sockets: Sockets, *more: object, **env: str) -> None:
        """Start a service; it gets its sockets."""
        pair = tuple(one.fileno() for one in sockets.of(service))
        arguments = (
            *("-m", "tests.clouds.openstack.services.serve", service),
            *("--log", self._place.requests(service)),
            *("--public", pair[0], "--internal", pair[1]),
            *("--threads", _THREADS[service]),
            *more,
        )
        with self._place.log(service).open("ab") as log:
            self._running[service] = self._start(log, arguments, env, keep=pair)
        sockets.close(service)

    def answering(self, service: str) -> None:
        """Wait until a service answers; it raises RuntimeError if it has died."""
        try:
            _opener.open(self._place.url(service), timeout=_START).close()
        except urllib.error.HTTPError as answer:  # e.g. 401: that is an answer
            answer.close()
        except OSError as fault:
            raise self._failed(service, str(fault)) from fault

    def finished(self, name: str) -> None:
        """Wait for the end of a program; it raises RuntimeError unless it went well."""
        process = self._running.pop(name)
        try:
            code = process.wait(_START)
        finally:
            _end(process, time.monotonic())
        if code:
            raise self._failed(name, f"exit code {code}")

    def _failed(self, name: str, why: str) -> RuntimeError:
        said = self._place.log(name).read_text(errors="replace")[-4000:]
        return RuntimeError(f"{name} of OpenStack failed: {why}\n{said}")


def _end(process: subprocess.Popen[bytes], deadline: float) -> None:
    """Wait for a program until a moment, then kill it and what it has started."""
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdin:
        process.stdin.close()
