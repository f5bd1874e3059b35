"""What users give to `AnsibleSetupProvider`, checked and made plain."""

from __future__ import annotations

import keyword
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from aioelasticluster.errors import ConfigurationError
from aioelasticluster.model.codec import check_plain

#: In a list of playbooks: the one that comes with this library.
PACKAGED = "packaged"

#: Whether tasks run as another user; `auto`: where the cloud gives root.
Become: TypeAlias = bool | Literal["auto"]

#: Variables that say how a host is reached and trusted: that is not theirs to say.
RESERVED = frozenset(
    {
        "ansible_connection",
        "ansible_host",
        "ansible_host_key_checking",
        "ansible_port",
        "ansible_ssh_args",
        "ansible_ssh_common_args",
        "ansible_ssh_extra_args",
        "ansible_ssh_host_key_checking",
        "ansible_user",
        "elasticluster",
    }
)


def groups_by_kind(
    groups: Mapping[str, str | Sequence[str]],
) -> dict[str, list[str]]:
    """Return the Ansible groups of each kind as lists."""
    listed = {
        kind: [given] if isinstance(given, str) else list(given)
        for kind, given in groups.items()
    }
    for kind, given in listed.items():
        for group in given:
            if not str(group).strip():
                raise ConfigurationError(
                    f"groups[{kind!r}]",
                    group,
                    "not the name of an Ansible group",
                    'Write it as in {"compute": ["dask_worker"]}',
                )
    return listed


def playbooks_to_run(
    given: str | Path | Sequence[str | Path] | None,
) -> tuple[str, ...]:
    """Return the playbooks to run, own ones by absolute path."""
    if given is None:
        return (PACKAGED,)
    listed = [given] if isinstance(given, str | Path) else list(given)
    if not listed:
        raise ConfigurationError(
            "playbook", given, "nothing would be run", f"Name one, or {PACKAGED!r}"
        )
    return tuple(
        PACKAGED if path == PACKAGED else str(Path(path).expanduser().absolute())
        for path in listed
    )


def plain_variables(field: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return variables as plain data; raise `ConfigurationError` for what is none."""
    for name, value in variables.items():
        if not str(name).isidentifier() or keyword.iskeyword(name):
            raise ConfigurationError(
                field, name, "not the name of a variable", "Use letters, digits and _"
            )
        if name in RESERVED or name.startswith("aioec_"):
            raise ConfigurationError(
                field, name, "this variable is set by the library", "Leave it out"
            )
        try:
            check_plain(name, value)
        except (TypeError, ValueError) as fault:
            raise ConfigurationError(
                field,
                name,
                "its value is not plain data",
                "Use text, numbers, booleans, None, lists and dictionaries of these",
            ) from fault
    return dict(variables)


def variables_by_kind(
    given: Mapping[str, Mapping[str, Any]], kinds: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Return the variables of each kind; raise for a kind that has no groups."""
    for kind in given:
        if kind not in kinds:
            raise ConfigurationError(
                "kind_variables",
                kind,
                "`groups` does not have this kind of node",
                f"Its kinds are: {', '.join(sorted(kinds)) or 'none'}",
            )
    return {
        kind: plain_variables(f"kind_variables[{kind!r}]", variables)
        for kind, variables in given.items()
    }


def checked_become(become: Become) -> Become:
    """Return it; raise `ConfigurationError` for another word than `auto`."""
    if become not in (True, False, "auto"):
        raise ConfigurationError(
            "become", become, "unknown", 'Use True, False or "auto"'
        )
    return become


def positive(field: str, value: float | None) -> float | None:
    """Return a number or None; raise `ConfigurationError` for 0 and less."""
    if value is not None and value <= 0:
        raise ConfigurationError(
            field, value, "it must be more than 0", "Leave it out for the default"
        )
    return value


def folder(given: str | Path | None) -> Path | None:
    """Return a folder's absolute path."""
    return Path(given).expanduser().absolute() if given else None
