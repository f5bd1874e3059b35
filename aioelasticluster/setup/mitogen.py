"""Mitogen: the same tasks over one connection and one Python a host, not many.

It is on where it is installed and nothing speaks against it; the reason is logged.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

from aioelasticluster.errors import ConfigurationError
from aioelasticluster.setup.base import SetupCluster

#: The oldest release that works with the ansible-core which this library wants.
OLDEST = (0, 3, 54)

#: The newest ansible-core with which it was proven; it depends on Ansible's insides.
NEWEST_ANSIBLE = (2, 19)


def check_installed() -> None:
    """Raise `ConfigurationError` if Mitogen, which was asked for, is not there."""
    if missing := _missing():
        raise ConfigurationError(
            "mitogen",
            True,
            missing,
            "Install it: pip install 'aioelasticluster[mitogen]'",
        )


def obstacle(cluster: SetupCluster) -> str:
    """Return what speaks against Mitogen for this cluster; nothing may."""
    if missing := _missing():
        return missing
    if _version("ansible-core")[:2] > NEWEST_ANSIBLE:
        return f"it was not proven with ansible-core {_text('ansible-core')}"
    if cluster.passphrase:
        return "it cannot open a key that has a passphrase"
    if not cluster.capabilities.root:
        return "hosts without root are this machine, to which the way is short"
    if strategy := os.environ.get("ANSIBLE_STRATEGY"):
        return f"ANSIBLE_STRATEGY asks for {strategy}"
    return ""


def wanted(choice: bool | None, cluster: SetupCluster) -> tuple[bool, str]:
    """Return whether to use it, and what speaks against it.

    `None` uses it where nothing does, True insists: `ConfigurationError` if it cannot.
    """
    if choice is False:
        return False, "it is switched off"
    reason = obstacle(cluster)
    if choice and cluster.passphrase:
        raise ConfigurationError("mitogen", True, reason, "Leave it out: None")
    return choice is True or not reason, reason


def environment() -> Mapping[str, str]:
    """Return what makes Ansible use Mitogen."""
    found = importlib.util.find_spec("ansible_mitogen")
    assert found is not None
    assert found.origin is not None
    plugins = Path(found.origin).parent / "plugins" / "strategy"
    return {
        "ANSIBLE_STRATEGY": "mitogen_linear",
        "ANSIBLE_STRATEGY_PLUGINS": str(plugins),
    }


def _missing() -> str:
    if importlib.util.find_spec("ansible_mitogen") is None:
        return "it is not installed"
    if _version("mitogen") < OLDEST:
        return f"its version {_text('mitogen')} is too old"
    return ""


def _text(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "0"


def _version(package: str) -> tuple[int, ...]:
    return tuple(int(part) for part in _text(package).split(".") if part.isdigit())
