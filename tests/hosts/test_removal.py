"""Workers that leave while a host that has nothing to do with them is dead."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from aioelasticluster import AnsibleSetupProvider
from tests.hosts.fixtures import MakeCluster
from tests.hosts.sharing import MARKS

pytestmark = [*MARKS, pytest.mark.ansible, pytest.mark.soak]

GROUPS = {
    "frontend": "slurm_master",
    "login": "slurm_submit",
    "compute": "slurm_worker",
}


@pytest.mark.timeout(400, func_only=True)  # a minute, unless the machine is busy
async def test_workers_leave_slurm_although_a_login_node_is_dead(
    make_cluster: MakeCluster, tmp_path: Path
) -> None:
    setup = AnsibleSetupProvider(
        GROUPS, work_dir=tmp_path / "work", cache_dir=tmp_path / "cache"
    )
    cluster = make_cluster(setup, frontend=1, login=1, compute=2)
    await cluster.start()
    await cluster.setup()
    login = cluster.get_node_by_name("login001")
    listed = "sinfo --noheader --Node --format=%N --partition=main"
    assert (await login.run(listed)).stdout.split() == ["compute001", "compute002"]

    # Another machine has the facts, and those that are needed are gathered anew.
    for folder in (tmp_path / "work").glob("*/facts"):
        shutil.rmtree(folder)
    await cluster.remove_node("compute002")
    assert "compute002" not in (await login.run("cat /etc/slurm/slurm.conf")).stdout

    await login.run("sudo systemctl stop ssh.socket ssh.service")
    await cluster.remove_node("compute001")
    frontend = cluster.get_node_by_name("frontend001")
    configuration = await frontend.run("cat /etc/slurm/slurm.conf")
    assert "compute001" not in configuration.stdout
