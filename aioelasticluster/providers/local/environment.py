"""What an instance's sessions find in their environment, and which Python."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aioelasticluster.providers.local.layout import InstanceFolder

_STANDARD_PATH = (
    "/usr/local/sbin",
    "/usr/local/bin",
    "/opt/homebrew/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
)

#: What of the caller's environment belongs to the machine rather than to the caller.
_OF_THE_MACHINE = frozenset(
    {
        "LANG",
        "LANGUAGE",
        "LD_LIBRARY_PATH",
        "NO_PROXY",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "TZ",
        "http_proxy",
        "https_proxy",
        "no_proxy",
    }
)


def base_interpreter() -> str:
    """Return the interpreter that runs us, without any virtual environment."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    return os.path.realpath(base)


def user_name() -> str:
    """Return the name of the current user, its number if it has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def shell() -> str:
    """Return the shell of every session, whatever the caller's own is."""
    return "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an instance is: its name, its folder and its address."""

    node: str
    folder: InstanceFolder
    address: str
    port: int

    def environment(self, caller: Mapping[str, str]) -> dict[str, str]:
        """Return the variables of a session; only the machine's own are inherited."""
        user = user_name()
        inherited = {
            name: value
            for name, value in caller.items()
            if name in _OF_THE_MACHINE or name.startswith("LC_")
        }
        return inherited | {
            "AIOEC_ADDRESS": self.address,
            "AIOEC_HOST_KEY_FILE": str(self.folder.host_key),
            "AIOEC_INSTANCE": self.folder.id,
            "AIOEC_SSHD_PID": str(os.getpid()),
            "HOME": str(self.folder.home),
            "HOSTNAME": self.node,
            "LOGNAME": user,
            "PATH": ":".join((str(Path(base_interpreter()).parent), *_STANDARD_PATH)),
            "SHELL": shell(),
            "TMPDIR": str(self.folder.temporary),
            "USER": user,
        }
