"""The host key of an instance: a file that its sessions may replace."""

from __future__ import annotations

import os
from pathlib import Path

import asyncssh


class HostKey:
    """A private key file, its public half beside it, maybe with a certificate."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._public = path.with_name(path.name + ".pub")
        self._certificate = path.with_name(path.name + "-cert.pub")
        self._shown = path.with_name(path.name + ".shown")

    def install(self, private: str, certificate: str = "") -> None:
        """Write a given key; raise `ValueError` if it is not an ed25519 key."""
        key = asyncssh.import_private_key(private)
        if key.get_algorithm() != "ssh-ed25519":
            raise ValueError(f"the host key is {key.get_algorithm()}, not ssh-ed25519")
        self._write(key)
        if certificate:
            self._certificate.write_text(certificate.strip() + "\n")

    def generate(self) -> None:
        """Write a new key."""
        self._write(asyncssh.generate_private_key("ssh-ed25519"))

    def loaded(self) -> list[object]:
        """Return what the server is to show; raise if the file holds no key."""
        key = asyncssh.read_private_key(self._path)
        self._loaded = key.export_public_key("openssh")
        if self._certificate.exists():
            certificate = asyncssh.read_certificate(self._certificate)
            if certificate.key.public_data == key.public_data:
                return [(key, certificate)]
        return [key]

    def announce(self) -> None:
        """Say beside the file which key new connections are shown from now on."""
        fresh = self._shown.with_name(self._shown.name + ".new")
        fresh.write_bytes(self._loaded)
        fresh.replace(self._shown)

    def _write(self, key: asyncssh.SSHKey) -> None:
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(
            self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600
        )
        with open(descriptor, "wb") as file:
            file.write(key.export_private_key("openssh"))
        self._public.write_bytes(key.export_public_key("openssh"))
