"""The scripts of a node's first boot, run here, with every path in a folder of ours."""

from __future__ import annotations

import base64
import getpass
import io
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from aioelasticluster.providers.containers.scripts import BOOT, INIT

PLACE = "var/lib/aioelasticluster"

KEY = "etc/ssh/ssh_host_ed25519_key"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a folder as a container's root, in which an image has keys of its own."""
    for folder in (PLACE, "etc/ssh", "etc/sudoers.d", "bin", "home/.ssh"):
        (tmp_path / folder).mkdir(parents=True)
    getent = tmp_path / "bin" / "getent"
    getent.write_text(f"#!/bin/sh\necho 'user:x:1:1::{tmp_path}/home:/bin/sh'\n")
    getent.chmod(0o755)
    for kind in ("ed25519", "rsa"):
        (tmp_path / f"etc/ssh/ssh_host_{kind}_key").write_text("baked")
        (tmp_path / f"etc/ssh/ssh_host_{kind}_key.pub").write_text("baked")
    return tmp_path


def run(script: str, root: Path, **environment: str) -> None:
    """Run a script as if the folder were `/`; none of its paths may lead out of it."""
    moved = re.sub(r"(?<![\w$/])/(etc|var)/", rf"{root}/\1/", script)
    moved = moved.replace("-C /", f"-C {root}")
    assert not re.search(r"(?<![\w$/])/(etc|var)/", moved.replace(str(root), "root"))
    path = f"{root}/bin:{os.environ['PATH']}"
    subprocess.run(
        ["sh", "-u", "-c", moved],
        env={"PATH": path, "HOSTNAME": "node", **environment},
        check=True,
    )


def boot(root: Path) -> None:
    (root / PLACE / "login").write_text(getpass.getuser())
    run(BOOT.replace("/etc/sudoers.d", f"{root}/no-sudo"), root)


needs_keygen = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed"
)


@needs_keygen
def test_host_keys_of_the_image_are_replaced(root: Path) -> None:
    boot(root)
    assert "PRIVATE KEY" in (root / KEY).read_text()
    names = {path.name for path in (root / "etc/ssh").iterdir()}
    assert names == {"ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"}
    assert (root / PLACE / "booted").exists()


def test_of_host_keys_only_the_given_one_stays(root: Path) -> None:
    (root / KEY).write_text("given")
    (root / PLACE / "given-host-keys").write_text(f"{root / KEY}\n")
    boot(root)
    names = {path.name for path in (root / "etc/ssh").iterdir()}
    assert names == {"ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"}
    assert (root / KEY).read_text() == "given"


@needs_keygen
def test_keys_without_the_end_of_their_line_are_not_glued(root: Path) -> None:
    keys = root / "home/.ssh/authorized_keys"
    keys.write_text("ssh-rsa A first")
    (root / PLACE / "authorized_keys").write_text("ssh-rsa B second\nssh-rsa A first")
    boot(root)
    assert keys.read_text().splitlines() == ["ssh-rsa A first", "ssh-rsa B second"]
    assert keys.stat().st_mode & 0o777 == 0o600


def seed(text: str) -> str:
    """Return a seed that has one file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo(f"{PLACE}/login")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text.encode()))
    return base64.b64encode(buffer.getvalue()).decode()


def test_a_seed_is_laid_out_once_and_anew_where_the_image_was_a_node(
    root: Path,
) -> None:
    piece = INIT.partition("place=")[2].partition("unset ")[0]

    def init(instance: str, login: str) -> str:
        run(f"place={piece}", root, AIOEC_INSTANCE=instance, AIOEC_SEED=seed(login))
        return (root / PLACE / "login").read_text()

    assert init("first-0", "one") == "one"
    (root / PLACE / "booted").touch()
    assert init("first-0", "another") == "one"
    assert (root / PLACE / "booted").exists()

    (root / KEY).write_text("of the node that the image was")
    assert init("second-0", "another") == "another"
    assert not (root / PLACE / "booted").exists()
    assert not (root / KEY).exists()
