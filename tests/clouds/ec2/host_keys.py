"""The SSH host key of an instance: from its user-data, or made at its boot."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import asyncssh

from aioelasticluster.providers.cloud_config import (
    BootPlan,
    read_user_data,
)


class Booting(Protocol):
    """What has a host key from its first boot on."""

    host_key: str

    @property
    def user_data(self) -> bytes:
        """What cloud-init reads."""


@lru_cache(maxsize=64)
def boot_plan(user_data: bytes) -> BootPlan:
    """Return what user-data asks for; the same for a whole batch."""
    return read_user_data(user_data.decode(errors="replace"))


def host_key(instance: Booting) -> str:
    """Return the private key (OpenSSH text) that an instance shows at first."""
    given = boot_plan(instance.user_data).host_key
    if given and public_half(given) is not None:
        return given
    if not instance.host_key:
        made = asyncssh.generate_private_key("ssh-ed25519")
        instance.host_key = made.export_private_key("openssh").decode()
    return instance.host_key


@lru_cache(maxsize=64)
def public_half(private: str) -> asyncssh.SSHKey | None:
    """Return the public half of a host key, None if it is no key."""
    try:
        return asyncssh.import_private_key(private).convert_to_public()
    except asyncssh.KeyImportError:
        return None
