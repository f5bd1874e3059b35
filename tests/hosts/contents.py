"""What there is in an engine, looked at behind the provider's back."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self._path)


def ask(url: str, method: str, path: str, body: Any = None) -> Any:
    """Send one request to an engine; return its JSON, raise for a refusal."""
    connection = _Connection(url.removeprefix("unix://"))
    try:
        content = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"}
        connection.request(method, f"/v1.40/{path}", content, headers)
        answer = connection.getresponse()
        said = answer.read()
    finally:
        connection.close()
    if answer.status >= 400:
        raise RuntimeError(f"{method} {path}: {answer.status} {said.decode()}")
    return json.loads(said) if said[:1] in (b"{", b"[") else None


@dataclass(frozen=True, slots=True)
class Contents:
    """The names of what is in an engine, but for what it brings itself."""

    containers: frozenset[str]
    networks: frozenset[str]
    volumes: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.containers or self.networks or self.volumes)


#: Networks that an engine has from the beginning.
_BROUGHT = frozenset({"bridge", "host", "none", "podman"})


def contents(url: str) -> Contents:
    """Return what there is now."""
    return Contents(
        containers=_names(one["Names"][0].lstrip("/") for one in containers(url)),
        networks=_names(one["Name"] for one in ask(url, "GET", "networks")) - _BROUGHT,
        volumes=_names(one["Name"] for one in _volumes(url)),
    )


def containers(url: str) -> list[Mapping[str, Any]]:
    """Return all containers, as the engine lists them."""
    found: list[Mapping[str, Any]] = ask(url, "GET", "containers/json?all=true")
    return found


def sweep(url: str) -> None:
    """Remove all but images, as a killed run has left it."""
    now = contents(url)
    for name in now.containers:
        ask(url, "DELETE", f"containers/{quote(name)}?force=true&v=true")
    for kind, names in (("networks", now.networks), ("volumes", now.volumes)):
        for name in names:
            ask(url, "DELETE", f"{kind}/{quote(name)}")


def _volumes(url: str) -> list[Mapping[str, Any]]:
    return ask(url, "GET", "volumes")["Volumes"] or []


def _names(names: Iterable[str]) -> frozenset[str]:
    return frozenset(names)
