"""What `ssh_proxy` may be: a jump host, or a command that leads to the node."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from aioelasticluster.errors import ConfigurationError
from aioelasticluster.ssh.base import SshTarget

_TOKEN = re.compile(r"%(.?)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class JumpHost:
    """An SSH server that leads to the nodes; no login means the user's own name."""

    host: str
    port: int = 22
    login: str = ""

    def __str__(self) -> str:
        place = f"[{self.host}]" if ":" in self.host else self.host
        login = f"{self.login}@" if self.login else ""
        return f"{login}{place}:{self.port}"


def parse_proxy(text: str) -> JumpHost | str:
    """Read `[user@]host[:port]`, or return a ProxyCommand (or nothing) unchanged.

    What holds a space or a `%` is a command. Raises `ConfigurationError`.
    """
    text = text.strip()
    if not text or " " in text or "%" in text:
        _check_command(text)
        return text
    login, _, place = text.rpartition("@")
    host, port = _split_port(place)
    if not host or host.startswith("-") or not port.isdecimal():
        raise _wrong(text)
    if not 0 < int(port) < 65536 or any(char in host + login for char in "\"'\\,;/"):
        raise _wrong(text)
    return JumpHost(host, int(port), login)


def _split_port(place: str) -> tuple[str, str]:
    """Split `host:port` and `[v6]:port`; a bare address with colons has no port."""
    if place.startswith("["):
        host, closed, rest = place[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            return "", ""
        return host, rest.removeprefix(":") or "22"
    if place.count(":") == 1:
        host, _, port = place.partition(":")
        return host, port
    return place, "22"


def _wrong(text: str) -> ConfigurationError:
    return ConfigurationError(
        "ssh_proxy",
        text,
        "neither a jump host nor a ProxyCommand",
        "Give [user@]host[:port], or a command with %h and %p",
    )


def fill_command(command: str, target: SshTarget) -> str:
    """Return a ProxyCommand with %h, %p, %r and %% filled in, quoted for the shell."""
    tokens = {
        "h": shlex.quote(target.address),
        "p": str(target.port),
        "r": shlex.quote(target.login),
        "%": "%",
    }
    return _TOKEN.sub(lambda token: tokens[token[1]], command)


def _check_command(command: str) -> None:
    for token in _TOKEN.finditer(command):
        if token[1] not in ("h", "p", "r", "%"):
            raise ConfigurationError(
                "ssh_proxy",
                command,
                f"the token {token[0]} is not known",
                "Use %h (address), %p (port), %r (login), %% (a percent sign)",
            )
