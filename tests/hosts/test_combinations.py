"""Several services on the same hosts, with playbooks of one's own before and after."""

from __future__ import annotations

from pathlib import Path

import pytest

from aioelasticluster import AnsibleSetupProvider
from tests.hosts.fixtures import MakeCluster

pytestmark = [
    pytest.mark.containers,
    pytest.mark.soak,
    pytest.mark.timeout(900, func_only=True),
]

BEFORE = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Be the first
      ansible.builtin.command: test ! -e /etc/slurm
      args: {creates: /etc/slurm}
"""
AFTER = """
- hosts: slurm_master
  gather_facts: false
  tasks:
    - name: Find Slurm at work
      ansible.builtin.command: sinfo --noheader --states=idle --format=%D
      changed_when: false
      register: idle
      failed_when: idle.stdout != "2"
"""


async def test_slurm_mpi_and_monitoring_share_hosts_with_playbooks_around_them(
    make_cluster: MakeCluster, tmp_path: Path
) -> None:
    (tmp_path / "before.yml").write_text(BEFORE)
    (tmp_path / "after.yml").write_text(AFTER)
    setup = AnsibleSetupProvider(
        {
            "frontend": ["slurm_master", "hpc", "monitoring_server"],
            "compute": ["slurm_worker", "hpc", "monitoring_node"],
        },
        playbook=[tmp_path / "before.yml", "packaged", tmp_path / "after.yml"],
        variables={"hpc_compilers": False, "monitoring_interval": "1s"},
        work_dir=tmp_path / "work",
        cache_dir=tmp_path / "cache",
    )
    cluster = make_cluster(setup, frontend=1, compute=2)
    await cluster.start(timeout=120)
    await cluster.setup()
    # MPI's processes start where Slurm says, by itself.
    job = "timeout 60 salloc --quiet -N2 -n2 mpirun hostname"
    ran = await cluster.frontend.run(job, timeout=90)
    assert sorted(ran.stdout.split()) == ["compute001", "compute002"], ran
    again = await cluster.setup()
    assert (again.ok, again.changed) == (True, 0), again.output
