"""Runs the server for tests and benchmarks, and asks it what it saw."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.clouds.ec2.catalogue import FLAVORS, IMAGE_ID, REGION, zones
from tests.clouds.ec2.credentials import FIRST, OTHER
from tests.clouds.ec2.keeper import SSH_PORT

#: How long (seconds) the server may take to end by itself.
_PATIENCE = 10.0

_ROOT = Path(__file__).parents[3]

# No proxy may stand between a test and its server.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Ec2Endpoint:
    """A running server. Methods block, for milliseconds, and count as no requests."""

    url: str
    pid: int
    access_key: str = FIRST.id
    secret_key: str = FIRST.secret
    account: str = FIRST.account
    other_access_key: str = OTHER.id
    other_secret_key: str = OTHER.secret
    other_account: str = OTHER.account
    region: str = REGION
    image_id: str = IMAGE_ID
    #: The image's login.
    login: str = "debian"
    flavor: str = "c5.large"
    flavors: tuple[str, ...] = tuple(FLAVORS)
    zones: tuple[str, ...] = zones(REGION)

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
        """Return what each account has beside instances, by region."""
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
def running_ec2(
    *,
    hosts: bool = False,
    region: str = REGION,
    key: tuple[str, str] = (FIRST.id, FIRST.secret),
    **behaviour: Any,
) -> Iterator[Ec2Endpoint]:
    """Run a server for the block; it ends with the block, whatever happens.

    With `hosts`, each running instance is a real SSH server at its address, port 22.
    It has the `region`, and the first account the access `key`, beside the usual ones.
    """
    with ExitStack() as stack:
        options = [f"--region={region}"] if region != REGION else []
        if key != (FIRST.id, FIRST.secret):
            options.append(f"--key={':'.join(key)}")
        if hosts:
            homes = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
            options.append(f"--hosts={stack.enter_context(homes)}")
        endpoint = replace(
            stack.enter_context(_program(options)),
            access_key=key[0],
            secret_key=key[1],
            region=region,
            zones=zones(region),
        )
        if behaviour:
            endpoint.behave(**behaviour)
        yield endpoint


@contextmanager
def _program(options: list[str]) -> Iterator[Ec2Endpoint]:
    command = [sys.executable, "-m", "tests.clouds.ec2.server", *options]
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
                raise RuntimeError("the EC2 server did not start")
            yield Ec2Endpoint(**json.loads(line))
        finally:
            process.stdin.close()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
