"""What a container is given in its create call: keys, login and user-data, packed.

An image with cloud-init finds its user-data where the data source NoCloud looks for
them, and applies them itself. Other images need none: a small script, run before the
SSH server by systemd, applies those modules that `providers.cloud_config` knows;
what it says is in /var/log/aioelasticluster.log.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import shlex
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from aioelasticluster.errors import InvalidRequestError
from aioelasticluster.providers.base import LaunchOrder
from aioelasticluster.providers.cloud_config import (
    BootPlan,
    read_user_data,
    shell_script,
)
from aioelasticluster.providers.containers.scripts import BOOT

#: Where in a container all that is ours lies.
PLACE = "var/lib/aioelasticluster"

_HOST_KEY = "etc/ssh/ssh_host_ed25519_key"
_UNITS = "etc/systemd/system"
_NO_CLOUD = "var/lib/cloud/seed/nocloud"

_BOOT_UNIT = """\
[Unit]
Description=What this node was ordered with: login, keys, user-data
Before=ssh.service sshd.service ssh.socket sshd.socket
ConditionPathExists=!/usr/bin/cloud-init
[Service]
Type=oneshot
RemainAfterExit=yes
Environment=HOSTNAME=%H
StandardOutput=append:/var/log/aioelasticluster.log
StandardError=inherit
ExecStart=/bin/sh -u /var/lib/aioelasticluster/boot
[Install]
WantedBy=multi-user.target
"""

_LATE_UNIT = """\
[Unit]
Description=What user-data has a node do once it can be reached
After=network-online.target ssh.service sshd.service
ConditionPathExists=!/usr/bin/cloud-init
ConditionPathExists=!/var/lib/aioelasticluster/begun
[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=infinity
StandardOutput=append:/var/log/aioelasticluster.log
StandardError=inherit
ExecStartPre=/bin/touch /var/lib/aioelasticluster/begun
ExecStart=/bin/sh -u /var/lib/aioelasticluster/after-ssh
ExecStartPost=/bin/touch /var/lib/aioelasticluster/finished
[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    content: str | bytes
    mode: int = 0o644
    link: bool = False


def packed(order: LaunchOrder) -> str:
    """Return an order's seed as text; raises `InvalidRequestError` if it is too long.

    The containers of an order share it: which node one is, its host name tells.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for file in _files(order):
            _add(archive, file)
    text = base64.b64encode(gzip.compress(buffer.getvalue(), mtime=0)).decode()
    if len(text) > _LONGEST:
        raise InvalidRequestError(
            f"user-data take {len(text)} bytes when packed, a container takes "
            f"{_LONGEST}: shorten image_userdata"
        )
    return text


#: What the kernel takes as one variable, but for its name.
_LONGEST = 128 * 1024 - 64


def _add(archive: tarfile.TarFile, file: _File) -> None:
    member = tarfile.TarInfo(file.path)
    member.mode = file.mode
    if file.link:
        member.type, member.linkname = tarfile.SYMTYPE, str(file.content)
        archive.addfile(member)
        return
    content = file.content.encode() if isinstance(file.content, str) else file.content
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def _files(order: LaunchOrder) -> Iterator[_File]:
    plan = read_user_data(order.user_data)
    login = order.tags.login
    keys = [order.public_key.strip(), *plan.authorized_keys]
    yield _File(f"{PLACE}/login", login)
    yield _File(f"{PLACE}/authorized_keys", "".join(f"{key}\n" for key in keys))
    yield _File(f"{PLACE}/boot", BOOT, 0o755)
    yield from _unit("aioelasticluster-boot", _BOOT_UNIT)
    yield from _host_key(plan)
    yield from _before(plan)
    yield from _after(plan)
    yield from _no_cloud(order)


def _unit(name: str, text: str) -> Iterator[_File]:
    yield _File(f"{_UNITS}/{name}.service", text)
    wanted = f"{_UNITS}/multi-user.target.wants/{name}.service"
    yield _File(wanted, f"../{name}.service", link=True)


def _host_key(plan: BootPlan) -> Iterator[_File]:
    """Lay out the given host key; its public half is made from it."""
    if not plan.host_key:
        return
    yield _File(f"{PLACE}/given-host-keys", f"/{_HOST_KEY}\n")
    yield _File(_HOST_KEY, plan.host_key.strip() + "\n", 0o600)
    yield _File(f"{_HOST_KEY}.pub", _public_half(plan.host_key))
    if plan.host_certificate:
        yield _File(f"{_HOST_KEY}-cert.pub", plan.host_certificate.strip() + "\n")
        said = f"HostCertificate /{_HOST_KEY}-cert.pub\n"
        yield _File("etc/ssh/sshd_config.d/aioelasticluster.conf", said)


def _public_half(private: str) -> bytes:
    import asyncssh

    try:
        return asyncssh.import_private_key(private).export_public_key()
    except (asyncssh.KeyImportError, ValueError) as fault:
        raise InvalidRequestError(f"ssh_keys: {fault}") from fault


def _before(plan: BootPlan) -> Iterator[_File]:
    """Have done before anybody can log in: `bootcmd`, then `write_files`."""
    lines = [f"echo {shlex.quote(f'user-data: {note}')}" for note in plan.remarks]
    if plan.boot_commands:
        yield _File(f"{PLACE}/bootcmd", shell_script(plan.boot_commands), 0o700)
        lines.append(f"/bin/sh /{PLACE}/bootcmd")
    for number, file in enumerate(plan.files):
        kept = f"{PLACE}/file-{number}"
        yield _File(kept, file.content, 0o600)
        path = shlex.quote(file.path)
        lines.append(f'mkdir -p "$(dirname {path})"')
        lines.append(f"cat /{kept} {'>>' if file.append else '>'}{path}")
        mode = 0o644 if file.permissions is None else file.permissions
        if file.owner:
            lines.append(f"chown {shlex.quote(file.owner)} {path}")
        lines.append(f"chmod {mode:o} {path}; rm /{kept}")
    if lines:
        yield _File(f"{PLACE}/before-ssh", "\n".join([*lines, ""]), 0o700)


def _after(plan: BootPlan) -> Iterator[_File]:
    """Have done what may take long: `runcmd`, then scripts, one after another."""
    lines = []
    if plan.run_commands:
        yield _File(f"{PLACE}/runcmd", shell_script(plan.run_commands), 0o700)
        lines.append(f"/bin/sh /{PLACE}/runcmd")
    for number, text in enumerate(plan.scripts):
        yield _File(f"{PLACE}/script-{number}", text, 0o700)
        lines.append(f"/{PLACE}/script-{number}")
    if lines:
        yield _File(f"{PLACE}/after-ssh", "\n".join([*lines, "true\n"]), 0o700)
        yield from _unit("aioelasticluster-late", _LATE_UNIT)


def _no_cloud(order: LaunchOrder) -> Iterator[_File]:
    """Lay out user-data for an image that has cloud-init."""
    told = {"instance-id": order.token, "public-keys": [order.public_key.strip()]}
    yield _File(f"{_NO_CLOUD}/meta-data", json.dumps(told))
    yield _File(f"{_NO_CLOUD}/user-data", order.user_data or "#cloud-config\n", 0o600)
    settings = {
        "datasource_list": ["NoCloud"],
        "preserve_hostname": True,
        "system_info": {"default_user": {"name": order.tags.login}},
    }
    yield _File("etc/cloud/cloud.cfg.d/99-aioelasticluster.cfg", json.dumps(settings))
