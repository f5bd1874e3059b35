"""A configuration with which OpenSSH's own `ssh`, `scp` and `sftp` reach the nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from aioelasticluster.errors import ConfigurationError
from aioelasticluster.ssh.base import SshTarget
from aioelasticluster.ssh.proxy import JumpHost, parse_proxy


def ssh_config_text(
    targets: Iterable[SshTarget],
    identity: str,
    known_hosts: str | Path,
    *,
    cluster: str = "",
    proxy: str = "",
) -> str:
    """Return one Host block a node, with host key checking on.

    `identity` is the private key's path, or the public one's for a key of the agent.
    A node answers to its own name and, with `cluster`, to `<cluster>-<node>`. Raises
    `ConfigurationError` for a value that would break out of its line.
    """
    jump = parse_proxy(proxy)
    blocks = [
        _block(
            [target.node, f"{cluster}-{target.node}"] if cluster else [target.node],
            [
                *_node_settings(target, identity, str(known_hosts)),
                *_proxy_settings(jump),
            ],
        )
        for target in targets
    ]
    if isinstance(jump, JumpHost):
        # Last, so that a node's own block wins where the patterns meet.
        blocks.append(_block([jump.host], [("IdentityFile", _path(identity))]))
    return "\n".join(blocks)


def _node_settings(
    target: SshTarget, identity: str, known_hosts: str
) -> Iterator[tuple[str, str]]:
    yield "HostName", _word("address", target.address)
    yield "Port", str(target.port)
    yield "User", _word("login", target.login)
    yield "IdentityFile", _path(identity)
    yield "IdentitiesOnly", "yes"
    yield "HostKeyAlias", _word("alias", target.alias)
    yield "UserKnownHostsFile", _path(known_hosts)
    yield "GlobalKnownHostsFile", "none"
    yield "StrictHostKeyChecking", "yes"
    # Addresses come back with other nodes behind them; the alias never does.
    yield "CheckHostIP", "no"
    yield "UpdateHostKeys", "no"


def _proxy_settings(proxy: JumpHost | str) -> Iterator[tuple[str, str]]:
    if isinstance(proxy, JumpHost):
        yield "ProxyJump", _word("ssh_proxy", str(proxy))
    elif proxy:
        yield "ProxyCommand", _line("ssh_proxy", proxy)


def _block(patterns: list[str], settings: Iterable[tuple[str, str]]) -> str:
    names = " ".join(_word("node", pattern) for pattern in patterns)
    lines = [f"    {keyword} {value}\n" for keyword, value in settings]
    return f"Host {names}\n" + "".join(lines)


def _line(field: str, value: str) -> str:
    if any(ord(char) < 32 for char in value):
        raise ConfigurationError(
            field, value, "holds a line break or control character", "Remove it"
        )
    return value


def _word(field: str, value: str) -> str:
    """Check a value that OpenSSH takes as one word and does not expand."""
    _line(field, value)
    if not value or any(char in "\"'\\ *?!#" for char in value):
        raise ConfigurationError(
            field,
            value,
            "ssh_config cannot hold it as one plain word",
            "Use no spaces, quotes, backslashes or wildcards",
        )
    return value


def _path(path: str) -> str:
    """Quote a path, and keep OpenSSH from expanding what looks like a token."""
    _line("path", path)
    if '"' in path or "${" in path:
        raise ConfigurationError(
            "path", path, "ssh_config cannot hold quotes or ${ in a path", "Rename it"
        )
    return '"' + path.replace("\\", "\\\\").replace("%", "%%") + '"'
