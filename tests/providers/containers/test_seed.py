"""What a container is given, once it is laid out: it is read as the container does."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import asyncssh
import pytest

from aioelasticluster import InvalidRequestError, NodeSpec
from aioelasticluster.model.tags import Tags
from aioelasticluster.model.user_data import cloud_config, merged
from aioelasticluster.providers.base import LaunchOrder
from aioelasticluster.providers.containers.seed import packed

PUBLIC = "ssh-ed25519 AAAA user@example.org"
KEY = asyncssh.generate_private_key("ssh-ed25519")
PRIVATE_HOST_KEY = KEY.export_private_key().decode()


def order(user_data: str) -> LaunchOrder:
    tags = Tags(
        cluster_id="0" * 32,
        cluster="demo",
        repository="memory",
        owner="me",
        token="1" * 32,
        kind="compute",
        names=("compute001",),
        login="hpc",
    )
    spec = NodeSpec(
        kind="compute", image_id="", image_user="hpc", flavor="", security_group=""
    )
    return LaunchOrder(
        token=tags.token, spec=spec, tags=tags, user_data=user_data, public_key=PUBLIC
    )


def laid_out(user_data: str) -> dict[str, tuple[int, str]]:
    """Return mode and content of each file."""
    archive = io.BytesIO(base64.b64decode(packed(order(user_data))))
    with tarfile.open(fileobj=archive) as opened:
        found: dict[str, tuple[int, str]] = {}
        for member in opened.getmembers():
            file = opened.extractfile(member) if member.isfile() else None
            text = file.read().decode() if file else member.linkname
            found[f"/{member.name}"] = (member.mode, text)
    return found


def test_the_injected_host_key_is_there_before_anything_runs() -> None:
    files = laid_out(cloud_config(PRIVATE_HOST_KEY, "is made from the private one"))
    assert files["/etc/ssh/ssh_host_ed25519_key"] == (0o600, PRIVATE_HOST_KEY)
    public = files["/etc/ssh/ssh_host_ed25519_key.pub"][1]
    assert public.split()[:2] == KEY.export_public_key().decode().split()[:2]


def test_login_and_keys_are_given_whatever_the_user_data() -> None:
    files = laid_out("")
    assert files["/var/lib/aioelasticluster/login"][1] == "hpc"
    assert files["/var/lib/aioelasticluster/authorized_keys"][1] == f"{PUBLIC}\n"
    assert "/etc/ssh/ssh_host_ed25519_key" not in files


def test_the_parts_of_user_data_keep_their_meaning() -> None:
    theirs = "#cloud-config\nssh_authorized_keys: [second]\nruncmd: [echo on]\n"
    ours = cloud_config(PRIVATE_HOST_KEY, "unused")
    files = laid_out(merged(ours, theirs))
    keys = files["/var/lib/aioelasticluster/authorized_keys"][1]
    assert keys.splitlines() == [PUBLIC, "second"]
    late = files["/var/lib/aioelasticluster/after-ssh"][1]
    assert late == "/bin/sh /var/lib/aioelasticluster/runcmd\ntrue\n"
    assert files["/var/lib/aioelasticluster/runcmd"] == (0o700, "echo on\n")

    script = "#!/bin/sh\necho hello\n"
    files = laid_out(merged(ours, script))
    assert files["/var/lib/aioelasticluster/script-0"] == (0o700, script)


def test_files_are_written_as_they_are_asked_for(tmp_path: Path) -> None:
    """Wherever they are to be, and whoever is to own them."""
    path = tmp_path / "a folder" / "of $HOME" / "file"
    owner = f"{os.geteuid()}:{os.getegid()}"
    asked = {"path": str(path), "content": "text\n", "owner": owner}
    files = laid_out(f"#cloud-config\nwrite_files: [{json.dumps(asked)}]\n")
    place = "/var/lib/aioelasticluster"
    (tmp_path / "file-0").write_text(files[f"{place}/file-0"][1])
    script = files[f"{place}/before-ssh"][1]
    assert f"chown {owner} " in script
    subprocess.run(["sh", "-c", script.replace(place, str(tmp_path))], check=True)
    assert path.read_text() == "text\n"
    assert path.stat().st_mode & 0o777 == 0o644


def test_cloud_init_finds_the_same_where_an_image_has_it() -> None:
    text = cloud_config(PRIVATE_HOST_KEY, "unused")
    files = laid_out(text)
    assert files["/var/lib/cloud/seed/nocloud/user-data"] == (0o600, text)
    assert PUBLIC in files["/var/lib/cloud/seed/nocloud/meta-data"][1]


def test_a_host_key_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="ssh_keys"):
        packed(order(cloud_config("nonsense", "nonsense")))


def test_orders_that_are_the_same_are_packed_the_same() -> None:
    text = cloud_config(PRIVATE_HOST_KEY, "unused")
    assert packed(order(text)) == packed(order(text))
