"""Runs a test cloud's server as a program, and asks it what it saw."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.clouds.ec2.keeper import SSH_PORT

#: How long (seconds) a fact may take, and the server to end by itself.
_PATIENCE = 10.0

_ROOT = Path(__file__).parents[2]

# No proxy may stand between a test and its server.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Endpoint(ABC):
    """A running server. Methods block, for milliseconds, and count as no requests."""

    url: str
    pid: int

    def told(self) -> dict[str, Any]:
        """Return the arguments that make the same endpoint elsewhere."""
        return asdict(self)

    @abstractmethod
    def node(self) -> dict[str, Any]:
        """Return what every node has: image, login, flavor, security group."""

    @abstractmethod
    def alive(self) -> set[str]:
        """Return the ids of all instances that stay, and cost, unless they are ended.

        Ids are those that records have.
        """

    @abstractmethod
    def running(self) -> dict[str, set[str]]:
        """Return the ids of all instances that run, each with its addresses."""

    @abstractmethod
    def made(self) -> dict[str, list[str]]:
        """Return what the first account has beside instances, by kind.

        Kinds of which there is nothing are left out, and what was there from the
        beginning.
        """

    @abstractmethod
    def launches(self) -> list[dict[str, Any]]:
        """Return the requests for instances so far."""

    def behave(self, **changes: Any) -> None:
        """Change how the cloud behaves from now on (see `Behaviour`)."""
        self._ask("PUT", "behaviour", changes)

    def behaviour(self) -> dict[str, Any]:
        """Return how the cloud behaves now."""
        found: dict[str, Any] = self._ask("GET", "behaviour")
        return found

    def requests(self, action: str | None = None) -> list[dict[str, Any]]:
        """Return the requests so far: at, action, status, code, parameters, bytes …"""
        found: list[dict[str, Any]] = self._ask("GET", "requests")
        return [one for one in found if action in (None, one["action"])]

    def forget_requests(self) -> None:
        """Begin the list of requests anew."""
        self._ask("DELETE", "requests")

    def instances(self, *states: str) -> list[dict[str, Any]]:
        """Return all accounts' instances that are in some of the states, or in any."""
        found: list[dict[str, Any]] = self._ask("GET", "instances")
        return [one for one in found if not states or one["state"] in states]

    def resources(self) -> list[dict[str, Any]]:
        """Return what each account has beside instances."""
        found: list[dict[str, Any]] = self._ask("GET", "resources")
        return found

    def cpu(self) -> dict[str, Any]:
        """Return the seconds of processor time: the server's, and the hosts'."""
        found: dict[str, Any] = self._ask("GET", "cpu")
        return found

    def reset(self) -> None:
        """Begin anew with an empty cloud that behaves as usual."""
        self._ask("POST", "reset")

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/_test/{path}", data=data, method=method
        )
        try:
            with _opener.open(request, timeout=60.0) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as fault:
            with fault:
                raise ValueError(json.load(fault)["fault"]) from fault


def eventually(fact: Callable[[], object]) -> None:
    """Wait until something becomes true that only the cloud's clock brings about."""
    deadline = time.monotonic() + _PATIENCE
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def why_no_hosts() -> str:
    """Return why instances cannot have SSH servers here, "" if they can."""
    try:
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(("127.255.255.253", SSH_PORT))
            return ""
    except OSError as fault:
        return f"no server can listen on port {SSH_PORT}: {fault.strerror}"


@contextmanager
def running_server(
    module: str, options: Sequence[str] = (), *, hosts: bool = False
) -> Iterator[dict[str, Any]]:
    """Run a server's program for the block; yield what it says of itself.

    With `hosts` it is given a folder for the homes of real SSH servers.
    """
    with ExitStack() as stack:
        command = [sys.executable, "-m", module, *options]
        if hosts:
            homes = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
            command.append(f"--hosts={stack.enter_context(homes)}")
        yield stack.enter_context(_program(command))


@contextmanager
def _program(command: list[str]) -> Iterator[dict[str, Any]]:
    # In a session of its own, so that Ctrl-C reaches it through its input alone.
    with subprocess.Popen(
        command,
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the server {command[2]} did not start")
            yield json.loads(line)
        finally:
            process.stdin.close()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
