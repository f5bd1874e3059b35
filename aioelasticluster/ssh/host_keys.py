"""Host keys: fresh ones, their fingerprints, and the known_hosts file of a cluster."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from aioelasticluster._aio.blocking import Blocking
from aioelasticluster.errors import ConfigurationError
from aioelasticluster.ssh.base import HostKeyPolicy, SshTarget

_files = Blocking(width=4, patience=30.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKey:
    """An ed25519 host key: the secret half for user-data, the public one for us."""

    private_openssh: str = field(repr=False)
    public: str


def generate_host_key() -> HostKey:
    """Return a fresh key; takes well under a millisecond."""
    import asyncssh

    key = asyncssh.generate_private_key("ssh-ed25519")
    return HostKey(
        private_openssh=key.export_private_key("openssh").decode(),
        public=public_text(key.export_public_key("openssh").decode()),
    )


def public_text(line: str) -> str:
    """Return the `type base64` of a public key line, without its comment."""
    return " ".join(line.split()[:2])


def fingerprint(public: str) -> str:
    """Return a public key's fingerprint as OpenSSH shows it: `SHA256:…`."""
    try:
        blob = base64.b64decode(public.split()[1], validate=True)
    except (IndexError, binascii.Error) as fault:
        raise ConfigurationError(
            "host_key", public, "not a public key", "Give it as `type base64`"
        ) from fault
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode()
    return "SHA256:" + digest.rstrip("=")


def known_hosts_text(targets: Iterable[SshTarget]) -> str:
    """Return known_hosts lines, keyed by alias and never by address.

    An authority of the user's is trusted for these aliases only.
    """
    return "".join(f"{line}\n" for target in targets for line in _lines(target))


def _lines(target: SshTarget) -> Iterable[str]:
    for key in target.host_keys:
        yield f"{target.alias} {public_text(key)}"
    if target.policy is HostKeyPolicy.CA and target.host_ca:
        yield f"@cert-authority {target.alias} {public_text(target.host_ca)}"


async def write_known_hosts(path: str | Path, targets: Iterable[SshTarget]) -> None:
    """Replace the file in one step; readers see the old one or the new, never half."""
    await _files(replace_known_hosts, Path(path), list(targets))


def replace_known_hosts(path: Path, targets: Iterable[SshTarget]) -> None:
    """Do what `write_known_hosts` does, and block while it lasts."""
    # mkstemp makes the file readable by nobody else from the first moment on.
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(known_hosts_text(targets))
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
