"""Whether a node is alive: it shows the expected host key and takes our key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioelasticluster.errors import UnreachableError
from aioelasticluster.ssh.base import Accept, HostKeyPolicy, Reached, SshTarget
from aioelasticluster.ssh.connect import SshClient
from aioelasticluster.ssh.host_keys import public_text
from aioelasticluster.ssh.line import place
from aioelasticluster.ssh.rotation import rotate

if TYPE_CHECKING:
    import asyncssh


async def probe(
    client: SshClient, target: SshTarget, accept: Accept | None = None
) -> Reached:
    """Connect once, rotate an injected host key if asked to, and disconnect.

    Raises what `SshClient.connect` raises, and what `accept` raises.
    """
    async with client.connected(target) as connection:
        shown = _shown_key(connection)
        rotating = target.policy is HostKeyPolicy.INJECTED and target.rotate_from
        if not rotating:
            return Reached(host_keys=_accepted(target, shown))
        if shown != public_text(target.rotate_from):
            # A key of its own already: somebody was cut off before he could say so.
            return Reached(host_keys=(shown,))
        if accept is None:
            return Reached(host_keys=target.host_keys)
        try:
            return await rotate(connection, target.host_keys, accept)
        except ConnectionError as error:
            raise UnreachableError(f"{place(target)}: {error}") from error


def _accepted(target: SshTarget, shown: str) -> tuple[str, ...]:
    """Return the keys to accept from now on of a node that keeps its key."""
    if target.policy is HostKeyPolicy.CA:
        # For OpenSSH's sake, which compares a certificate's names with the alias.
        return (shown,)
    return target.host_keys or (shown,)


def _shown_key(connection: asyncssh.SSHClientConnection) -> str:
    key = connection.get_server_host_key()
    assert key is not None  # None is for GSS key exchange, which we do not offer
    return public_text(key.export_public_key("openssh").decode())
