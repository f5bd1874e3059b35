"""User-data as cloud-init reads it: what of it is applied without cloud-init."""

from __future__ import annotations

import base64
import gzip
import shlex
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from email import message_from_string
from typing import Any

import yaml

#: What a module's value of the wrong shape raises.
_UNREADABLE = (
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    TypeError,
    ValueError,
    zlib.error,
)

#: A command: a line for the shell, or a list of arguments.
Command = str | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteFile:
    """A file that `write_files` asks for."""

    path: str
    content: bytes = b""
    permissions: int | None = None
    owner: str = ""
    append: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BootPlan:
    """What user-data asks of an instance; `remarks` is what it does not do."""

    host_key: str = ""
    host_certificate: str = ""
    authorized_keys: tuple[str, ...] = ()
    boot_commands: tuple[Command, ...] = ()
    files: tuple[WriteFile, ...] = ()
    run_commands: tuple[Command, ...] = ()
    scripts: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def noting(self, remark: str) -> BootPlan:
        """Return the plan with another remark."""
        return replace(self, remarks=(*self.remarks, remark))


def read_user_data(text: str) -> BootPlan:
    """Read user-data of any shape; like a cloud, remark on errors and go on."""
    plan = BootPlan()
    for kind, content in _parts(text):
        if content.startswith("#!"):
            plan = replace(plan, scripts=(*plan.scripts, content))
        elif content.startswith("#cloud-config") or kind == "text/cloud-config":
            plan = _with_cloud_config(plan, content)
        elif content.strip():
            first = content.strip().splitlines()[0][:60]
            plan = plan.noting(f"user-data ignored: {kind} beginning {first!r}")
    return plan


def shell_script(commands: Sequence[Command]) -> str:
    """Return what `runcmd` or `bootcmd` lists as the one script that cloud-init runs.

    So a `cd`, or a variable, holds for what comes after it.
    """
    lines = (one if isinstance(one, str) else shlex.join(one) for one in commands)
    return "".join(f"{line}\n" for line in lines)


def _parts(text: str) -> list[tuple[str, str]]:
    """Return the parts of user-data with their content types."""
    head = text.lstrip()[:200].lower()
    if not head.startswith(("content-type:", "mime-version:", "from nobody")):
        return [("text/plain", text)]
    return [
        (part.get_content_type(), _decoded(part.get_payload(decode=True)))
        for part in message_from_string(text.lstrip()).walk()
        if not part.is_multipart()
    ]


def _decoded(payload: object) -> str:
    return payload.decode(errors="replace") if isinstance(payload, bytes) else ""


def _with_cloud_config(plan: BootPlan, content: str) -> BootPlan:
    try:
        config = yaml.load(content, Loader=_loader())
    except yaml.YAMLError as fault:
        return plan.noting(f"cloud-config ignored: {fault}")
    if not isinstance(config, dict):
        return plan.noting("cloud-config ignored: it is not a mapping")
    for module, value in config.items():
        if module in _SATISFIED:
            continue
        apply = _MODULES.get(str(module))
        if apply is None:
            plan = plan.noting(f"module {module} ignored: not known here")
            continue
        try:
            plan = apply(plan, value)
        except _UNREADABLE as fault:
            plan = plan.noting(f"module {module} ignored: {fault!r}")
    return plan


def _loader() -> type[yaml.SafeLoader]:
    """Return the loader written in C where there is one: it is ten times as fast."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _ssh_keys(plan: BootPlan, value: Mapping[str, str]) -> BootPlan:
    for name in value:
        if not name.startswith("ed25519_"):
            plan = plan.noting(f"host key {name} ignored: only ed25519 is served")
    return replace(
        plan,
        host_key=value.get("ed25519_private", plan.host_key),
        host_certificate=value.get("ed25519_certificate", plan.host_certificate),
    )


def _authorized_keys(plan: BootPlan, value: str | list[Any]) -> BootPlan:
    keys = [value] if isinstance(value, str) else value
    return replace(plan, authorized_keys=plan.authorized_keys + tuple(map(str, keys)))


def _bootcmd(plan: BootPlan, value: list[Any]) -> BootPlan:
    return replace(plan, boot_commands=plan.boot_commands + _commands(value))


def _runcmd(plan: BootPlan, value: list[Any]) -> BootPlan:
    return replace(plan, run_commands=plan.run_commands + _commands(value))


def _write_files(plan: BootPlan, value: list[Any]) -> BootPlan:
    return replace(plan, files=plan.files + tuple(map(_file, value)))


def _commands(value: list[Any]) -> tuple[Command, ...]:
    if not isinstance(value, list):
        raise TypeError("a list of commands is expected")
    return tuple(
        tuple(map(str, item)) if isinstance(item, list) else str(item) for item in value
    )


def _file(entry: Mapping[str, Any]) -> WriteFile:
    return WriteFile(
        path=str(entry["path"]),
        content=_content(entry.get("content", ""), str(entry.get("encoding", ""))),
        permissions=_mode(entry.get("permissions")),
        owner=str(entry.get("owner") or ""),
        append=bool(entry.get("append", False)),
    )


def _mode(value: object) -> int | None:
    """Read permissions; YAML itself has read `0644` without quotes, as octal."""
    return value if value is None or isinstance(value, int) else int(str(value), 8)


def _content(content: str | bytes, encoding: str) -> bytes:
    """Undo what `encoding` names: any of gzip and base64, as `gz+b64`."""
    data = content if isinstance(content, bytes) else str(content).encode()
    if "b64" in encoding or "base64" in encoding:
        data = base64.b64decode(data)
    return gzip.decompress(data) if encoding.startswith("gz") else data


#: What holds without any doing: a server that shows one host key and no other.
_SATISFIED = frozenset({"ssh_deletekeys", "ssh_genkeytypes"})

_MODULES: Mapping[str, Callable[[BootPlan, Any], BootPlan]] = {
    "ssh_keys": _ssh_keys,
    "ssh_authorized_keys": _authorized_keys,
    "bootcmd": _bootcmd,
    "write_files": _write_files,
    "runcmd": _runcmd,
}
