"""The environment that ansible-playbook runs in.

The user's own `ANSIBLE_*` settings count where they do not touch what this library
answers for: verified hosts, private folders, the event stream.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from shlex import quote

from aioelasticluster.setup.workspace import (
    MARK,
    ClusterFolder,
    RunFolder,
    quoted,
    utf8_locale,
)

HERE = Path(__file__).parent
PLAYBOOKS = HERE / "playbooks"

#: In effect unless the user's environment says otherwise.
DEFAULTS: Mapping[str, str] = {
    "ANSIBLE_TIMEOUT": "20",
    "ANSIBLE_SSH_RETRIES": "1",
    "ANSIBLE_PIPELINING": "True",
    "ANSIBLE_GATHERING": "smart",
    "ANSIBLE_PYTHON_INTERPRETER": "auto_silent",
    "ANSIBLE_REMOTE_TEMP": "~/.cache/aioelasticluster",
    "ANSIBLE_TRANSFORM_INVALID_GROUP_CHARS": "ignore",
    "ANSIBLE_HOST_PATTERN_MISMATCH": "ignore",
    "ANSIBLE_DEPRECATION_WARNINGS": "False",
    "ANSIBLE_LOCALHOST_WARNING": "False",
}

#: Settings that could switch the verification of hosts off, leave files behind or
#: make the output unreadable.
DROPPED = (
    "ANSIBLE_FORCE_COLOR",
    "ANSIBLE_INVENTORY",
    "ANSIBLE_KEEP_REMOTE_FILES",
    "ANSIBLE_SCP_EXTRA_ARGS",
    "ANSIBLE_SFTP_EXTRA_ARGS",
    "ANSIBLE_SSH_COMMON_ARGS",
    "ANSIBLE_SSH_CONTROL_PATH",
    "ANSIBLE_SSH_EXTRA_ARGS",
)


def environment(
    run: RunFolder, kept: ClusterFolder, token: str, any_errors_fatal: bool
) -> dict[str, str]:
    """Return the environment of one run, but for what concerns the one key."""
    given = {name: value for name, value in os.environ.items() if name not in DROPPED}
    return {
        **DEFAULTS,
        **given,
        **utf8_locale(given),
        **_verified(run),
        **_private(run, kept),
        **_told(given),
        "ANSIBLE_ANY_ERRORS_FATAL": str(any_errors_fatal),
        "ANSIBLE_ROLES_PATH": _joined(
            given.get("ANSIBLE_ROLES_PATH"), PLAYBOOKS / "roles"
        ),
        MARK: token,
    }


def _verified(run: RunFolder) -> dict[str, str]:
    """Host keys are checked, whatever else is set: OpenSSH takes the first word."""
    arguments = (
        *("-F", quote(str(run.ssh_config))),
        *("-o", "StrictHostKeyChecking=yes"),
        *("-o", quote(f"UserKnownHostsFile={quoted(run.known_hosts)}")),
        *("-o", "ControlMaster=auto"),
        *("-o", "ControlPersist=60s"),
    )
    return {
        "ANSIBLE_TRANSPORT": "ssh",
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "ANSIBLE_SSH_HOST_KEY_CHECKING": "True",
        "ANSIBLE_SSH_ARGS": " ".join(arguments),
    }


def _private(run: RunFolder, kept: ClusterFolder) -> dict[str, str]:
    """Whatever is written goes into our folders."""
    return {
        "ANSIBLE_HOME": str(run.path / "home"),
        "ANSIBLE_LOCAL_TEMP": str(run.temporary),
        "TMPDIR": str(run.sockets),  # for sockets too, such as multiprocessing makes
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(run.sockets),
        "ANSIBLE_RETRY_FILES_ENABLED": "True",  # read by our callback plugin
        "ANSIBLE_RETRY_FILES_SAVE_PATH": str(run.path / "failed"),
        "ANSIBLE_CACHE_PLUGIN": "jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(kept.facts),
        "ANSIBLE_CACHE_PLUGIN_TIMEOUT": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _told(given: Mapping[str, str]) -> dict[str, str]:
    """The callback plugin tells us what happens; the user's may do so, too."""
    return {
        "ANSIBLE_NOCOLOR": "1",
        "AIOEC_SHELL_PLUGINS": str(HERE / "shell"),
        "ANSIBLE_CALLBACK_PLUGINS": _joined(
            given.get("ANSIBLE_CALLBACK_PLUGINS"), HERE / "callback"
        ),
        "ANSIBLE_CALLBACKS_ENABLED": ",".join(
            filter(None, (given.get("ANSIBLE_CALLBACKS_ENABLED"), "aioec_stream"))
        ),
    }


def _joined(given: str | None, ours: Path) -> str:
    return f"{given}:{ours}" if given else str(ours)


def configuration(run: RunFolder, playbooks: tuple[str, ...]) -> str:
    """Return the ansible.cfg of a run: the user's named one, their playbook's, or none.

    One that merely lies in the current folder never counts.
    """
    if named := os.environ.get("ANSIBLE_CONFIG"):
        return named
    beside = (Path(playbook).with_name("ansible.cfg") for playbook in playbooks)
    found = next((path for path in beside if path.exists()), run.path / "ansible.cfg")
    return str(found)
