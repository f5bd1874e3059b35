"""Ansible takes an instance of the local cloud for any host."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from tests.providers.local_cloud import LocalCloud

pytestmark = pytest.mark.ansible


@pytest.fixture
def sockets() -> Iterator[Path]:
    """Give a folder with a short path: a socket's is limited to about 100 bytes."""
    with tempfile.TemporaryDirectory(prefix="aioec", dir="/tmp") as folder:
        yield Path(folder)


@pytest.mark.parametrize("pipelining", [True, False])
async def test_ansible_reaches_and_changes_instances(
    cloud: LocalCloud, sockets: Path, pipelining: bool
) -> None:
    instances = await cloud.launch("compute001", "compute002")
    inventory = cloud.folder / "inventory.ini"
    python = cloud.provider.capabilities.python
    inventory.write_text(
        "\n".join(
            f"{one.name} ansible_host={one.addresses[0]} ansible_port={one.ssh_port}"
            for one in instances
        )
        + f"\n[all:vars]\nansible_user=debian\nansible_python_interpreter={python}\n"
    )
    content = cloud.folder / "content"
    content.write_bytes(secrets.token_bytes(200_000))
    options = [o for o in cloud.ssh_options(instances[0]) if "Port" not in o]
    environment = {
        **os.environ,
        "HOME": str(cloud.folder),
        "ANSIBLE_HOME": str(cloud.folder / "ansible"),
        "ANSIBLE_PIPELINING": str(pipelining),
        "ANSIBLE_SSH_ARGS": " ".join(
            [*options, "-oControlMaster=auto", "-oControlPersist=1"]
        ),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(sockets),
        "ANSIBLE_NOCOLOR": "1",
    }

    async def ansible(*arguments: str) -> str:
        """Run one module on all instances and return what it says."""
        line = [str(Path(sys.executable).with_name("ansible")), "all", "-o"]
        done = await anyio.run_process(
            [*line, "-i", str(inventory), *arguments], env=environment, check=False
        )
        said = done.stdout.decode() + done.stderr.decode()
        assert done.returncode == 0, said
        return said

    assert (await ansible("-m", "ping")).count('"ping": "pong"') == 2
    copied = await ansible("-m", "copy", "-a", f"src={content} dest=~/copied")
    assert copied.count("CHANGED") == 2
    for one in instances:
        home = cloud.state / "instances" / one.id / "home"
        assert (home / "copied").read_bytes() == content.read_bytes()
