"""The user's key pair: read and checked once, in a thread, before anything starts."""

from __future__ import annotations

import asyncio
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from aioelasticluster._aio.blocking import Blocking
from aioelasticluster.errors import KeyPairError
from aioelasticluster.ssh.host_keys import fingerprint, public_text

if TYPE_CHECKING:
    import asyncssh

#: Key types that both we and OpenSSH servers of the last ten years accept.
_TYPES = ("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-")

#: How long (seconds) an agent may take to list its keys.
_AGENT_PATIENCE = 10.0

_parsing = Blocking(width=2, patience=30.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKeys:
    """A checked key pair; secrets stay out of its `repr`.

    `public` is OpenSSH text without comment. `private_path` is empty where the user's
    agent, at the socket `agent`, holds the private half; `parsed` is then None.
    """

    public_path: str
    private_path: str
    public: str
    fingerprint: str
    agent: str = ""
    passphrase: str = field(default="", repr=False)
    parsed: asyncssh.SSHKey | None = field(default=None, repr=False, compare=False)


async def load_client_keys(
    public_path: str | Path,
    private_path: str | Path | None,
    passphrase: str | None = None,
) -> ClientKeys:
    """Read a key pair and check that its halves match; raise `KeyPairError`.

    Without `private_path` the agent at `SSH_AUTH_SOCK` must hold the public key.
    Parsing an RSA key costs tens of milliseconds and is done in a thread.
    """
    if private_path:
        return await _parsing(
            _load, Path(public_path), Path(private_path), passphrase or ""
        )
    public = await _parsing(_read_public, _expanded("ssh_key_pub", Path(public_path)))
    agent = os.environ.get("SSH_AUTH_SOCK", "")
    await _check_agent(agent, public)
    return ClientKeys(
        public_path=str(_expanded("ssh_key_pub", Path(public_path))),
        private_path="",
        public=public,
        fingerprint=fingerprint(public),
        agent=agent,
    )


def _load(public_path: Path, private_path: Path, passphrase: str) -> ClientKeys:
    public_path = _expanded("ssh_key_pub", public_path)
    private_path = _expanded("ssh_key_priv", private_path)
    public = _read_public(public_path)
    parsed = _read_private(private_path, passphrase)
    found = public_text(parsed.export_public_key("openssh").decode())
    if found != public:
        raise KeyPairError(
            "ssh_key_priv",
            str(private_path),
            f"its public half is {fingerprint(found)}, but {public_path} holds "
            f"{fingerprint(public)}",
            "Name the two files of one key pair",
        )
    return ClientKeys(
        public_path=str(public_path),
        private_path=str(private_path),
        public=public,
        fingerprint=fingerprint(public),
        passphrase=passphrase,
        parsed=parsed,
    )


def _expanded(key_field: str, path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError as fault:
        raise KeyPairError(
            key_field, str(path), "there is no such home folder", "Give a full path"
        ) from fault


def _read(key_field: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as fault:
        remedy = "Name an existing key, or make a pair with `ssh-keygen -t ed25519`"
        raise KeyPairError(
            key_field, str(path), "there is no such file", remedy
        ) from fault
    except OSError as fault:
        raise KeyPairError(
            key_field,
            str(path),
            f"it cannot be read ({fault.strerror})",
            "Name a file that you may read",
        ) from fault


def _read_public(path: Path) -> str:
    import asyncssh

    data = _read("ssh_key_pub", path)
    if b"PRIVATE KEY" in data:
        raise KeyPairError(
            "ssh_key_pub",
            str(path),
            "it holds a private key",
            "Name the public half, often the same path with .pub",
        )
    try:
        key = asyncssh.import_public_key(data)
    except (asyncssh.KeyImportError, UnicodeDecodeError) as fault:
        raise KeyPairError(
            "ssh_key_pub",
            str(path),
            f"it holds no public key ({fault})",
            "Name a public key file such as ~/.ssh/id_ed25519.pub",
        ) from fault
    public = public_text(key.export_public_key("openssh").decode())
    _check_type("ssh_key_pub", path, public)
    return public


def _check_type(key_field: str, path: Path, public: str) -> None:
    if not public.startswith(_TYPES):
        raise KeyPairError(
            key_field,
            str(path),
            f"keys of type {public.split()[0]} are not supported",
            "Use an ed25519, RSA or ECDSA key",
        )


def _read_private(path: Path, passphrase: str) -> asyncssh.SSHKey:
    import asyncssh

    data = _read("ssh_key_priv", path)
    _check_mode(path)
    try:
        return asyncssh.import_private_key(data, passphrase or None)
    except asyncssh.KeyEncryptionError as fault:
        raise _locked(path, passphrase) from fault
    except (asyncssh.KeyImportError, UnicodeDecodeError) as fault:
        text = str(fault).lower()
        if "passphrase" in text or "decrypt" in text:
            raise _locked(path, passphrase) from fault
        raise KeyPairError(
            "ssh_key_priv",
            str(path),
            f"it holds no private key ({fault})",
            "Name a private key file such as ~/.ssh/id_ed25519",
        ) from fault


def _locked(path: Path, passphrase: str) -> KeyPairError:
    if passphrase:
        problem, remedy = "the passphrase does not open it", "Give the right passphrase"
    else:
        problem = "it is encrypted and no passphrase was given"
        remedy = (
            "Give its passphrase, or name no private key and load it into ssh-agent"
        )
    return KeyPairError("ssh_key_priv", str(path), problem, remedy)


def _check_mode(path: Path) -> None:
    """Refuse what OpenSSH (and so set-up) would refuse later."""
    status = path.stat()
    if status.st_uid == os.getuid() and status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise KeyPairError(
            "ssh_key_priv",
            str(path),
            f"others may read it (mode {mode:04o}), which OpenSSH refuses",
            f"Run `chmod 600 {path}`",
        )


async def _check_agent(agent: str, public: str) -> None:
    import asyncssh

    if not agent:
        raise KeyPairError(
            "ssh_key_priv",
            "",
            "no private key is named and no ssh-agent is running (SSH_AUTH_SOCK)",
            "Name the private key, or start ssh-agent and load the key with ssh-add",
        )
    try:
        async with (
            asyncio.timeout(_AGENT_PATIENCE),
            asyncssh.connect_agent(agent) as client,
        ):
            held = [key.public_data for key in await client.get_keys()]
    except (OSError, ValueError) as fault:
        raise KeyPairError(
            "ssh_key_priv",
            "",
            f"no private key is named and the ssh-agent at {agent} does not answer "
            f"({fault})",
            "Name the private key, or start ssh-agent and load the key with ssh-add",
        ) from fault
    if asyncssh.import_public_key(public).public_data not in held:
        raise KeyPairError(
            "ssh_key_priv",
            "",
            f"no private key is named and the ssh-agent at {agent} does not hold "
            f"{fingerprint(public)} ({len(held)} others)",
            "Load it with ssh-add, or name the private key",
        )
