"""Where a container engine listens: as told, or at one of the usual places."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aioelasticluster.errors import (
    ConfigurationError,
    ProviderError,
    UnauthorizedError,
)

#: How long (seconds) a local socket may take to accept.
_ACCEPT = 5.0

_SCHEMES = ("unix://", "tcp://", "http://", "https://")

_UNUSABLE = (
    "no container engine answers. Start Docker or Podman's API service "
    "(`systemctl start docker`, or `systemctl --user start podman.socket`), or say "
    "where it listens: docker_host='unix:///path/to/socket', or DOCKER_HOST"
)
_FORBIDDEN = (
    "this user may not use the container engine. Join the group that owns its socket "
    "(`usermod -aG docker <user>`, then log in again), or run Docker or Podman rootless"
)


@dataclass(frozen=True, slots=True)
class Place:
    """An engine's address, and the certificates to use there, if any.

    What is spoken to by TLS has an https:// address.
    """

    url: str
    tls: ssl.SSLContext | None = field(default=None, compare=False)


def find_place(docker_host: str | None) -> Place:
    """Return where the engine is; looks at files and sockets, so it blocks.

    Without `docker_host`: what DOCKER_HOST or CONTAINER_HOST say, Docker's current
    context, or the first of the usual sockets that accepts. Raises a `ProviderError`
    that names what was tried.
    """
    if docker_host is not None:
        return _checked(docker_host, "docker_host")
    for variable in ("DOCKER_HOST", "CONTAINER_HOST"):
        if given := os.environ.get(variable):
            return _checked(given, variable)
    if (found := _of_context()) is not None:
        return found
    return _first_of_the_usual()


def check_docker_host(docker_host: str, field: str = "docker_host") -> None:
    """Raise `ConfigurationError` for an address of a kind that is not known.

    `field` is where it was given.
    """
    if not docker_host.startswith(_SCHEMES):
        raise ConfigurationError(
            field,
            docker_host,
            "not an engine's address",
            "Give unix:///path/to/socket or tcp://host:port",
        )


def unusable(tried: list[tuple[str, OSError]]) -> ProviderError:
    """Return the error that names which sockets were tried, and what they said."""
    forbidden = any(isinstance(fault, PermissionError) for _, fault in tried)
    listed = "; ".join(f"{url}: {_words(fault)}" for url, fault in tried)
    if forbidden:
        return UnauthorizedError(f"{_FORBIDDEN}. Tried {listed}")
    return ProviderError(f"{_UNUSABLE}. Tried {listed}")


def _words(fault: OSError) -> str:
    return (fault.strerror or str(fault) or type(fault).__name__).lower()


def _checked(url: str, field: str) -> Place:
    """Return a place that was named; one that is a socket must accept."""
    check_docker_host(url, field)
    if url.startswith("unix://"):
        if (fault := _refusal(Path(url.removeprefix("unix://")))) is not None:
            raise unusable([(url, fault)]) from fault
        return Place(url)
    folder = os.environ.get("DOCKER_CERT_PATH", "")
    if os.environ.get("DOCKER_TLS_VERIFY", "") not in ("", "0"):
        return _by_tls(url, Path(folder or Path.home() / ".docker"))
    return Place(url)


def _by_tls(url: str, folder: Path) -> Place:
    """Return a place with the certificates in a folder.

    At any other address than https:// the client would not use them, and send what is
    secret in the clear.
    """
    return Place(f"https://{url.partition('://')[2]}", _certificates(folder))


def _of_context() -> Place | None:
    """Return where Docker's current context leads, None where that is the default."""
    home = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    name = os.environ.get("DOCKER_CONTEXT") or _current_context(home)
    if name in ("", "default"):
        return None
    digest = hashlib.sha256(name.encode()).hexdigest()
    try:
        text = (home / "contexts" / "meta" / digest / "meta.json").read_text()
        url = str(json.loads(text)["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, LookupError, TypeError) as fault:
        raise ConfigurationError(
            "DOCKER_CONTEXT",
            name,
            f"Docker's context cannot be read: {fault}",
            "Choose another one (`docker context use default`), or give docker_host",
        ) from fault
    place = _checked(url, "DOCKER_CONTEXT")
    folder = home / "contexts" / "tls" / digest / "docker"
    remote = not url.startswith("unix://")
    return _by_tls(url, folder) if remote and folder.is_dir() else place


def _current_context(home: Path) -> str:
    try:
        settings = json.loads((home / "config.json").read_text())
    except (OSError, ValueError):
        return ""
    return str(settings.get("currentContext") or "")


def _certificates(folder: Path) -> ssl.SSLContext:
    """Return what ca.pem, cert.pem and key.pem in a folder make."""
    try:
        authority = folder / "ca.pem"
        made = ssl.create_default_context(
            cafile=str(authority) if authority.exists() else None
        )
        if (folder / "cert.pem").exists():
            made.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    except OSError as fault:  # which ssl.SSLError is, too
        raise ConfigurationError(
            "DOCKER_CERT_PATH",
            str(folder),
            f"the certificates cannot be used: {fault}",
            "Put ca.pem, cert.pem and key.pem there",
        ) from fault
    return made


def _first_of_the_usual() -> Place:
    tried: list[tuple[str, OSError]] = []
    for path in _usual():
        if (fault := _refusal(path)) is None:
            return Place(f"unix://{path}")
        tried.append((f"unix://{path}", fault))
    raise unusable(tried)


def _usual() -> Iterator[Path]:
    """Yield the usual sockets: Docker's before Podman's, the machine's before ours."""
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    yield Path("/var/run/docker.sock")
    yield runtime / "docker.sock"
    yield Path.home() / ".docker" / "run" / "docker.sock"
    yield Path.home() / ".docker" / "desktop" / "docker.sock"
    yield Path("/run/podman/podman.sock")
    yield runtime / "podman" / "podman.sock"


def _refusal(path: Path) -> OSError | None:
    """Return why a socket does not accept, None if it does."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(_ACCEPT)
        try:
            line.connect(str(path))
        except OSError as fault:
            return fault
    return None
