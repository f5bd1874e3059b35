"""What the slurm role writes into Slurm's files, its templates filled in by Ansible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from anyio import Path

from aioelasticluster.setup.environment import PLAYBOOKS
from tests.setup.conftest import Rig

pytestmark = [pytest.mark.ansible, pytest.mark.usefixtures("unblocked")]

ROLE = PLAYBOOKS / "roles" / "slurm"
DEFAULTS = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())

PLAYBOOK = f"""
- hosts: frontend001
  gather_facts: false
  vars_files: [{ROLE}/vars/main.yml, {ROLE}/vars/Debian.yml]
  vars:
    slurm_nodes_kept: {{content: "{{{{ nodes | to_json | b64encode }}}}"}}
  tasks:
    - name: Write the files
      ansible.builtin.template:
        src: "{ROLE}/templates/{{{{ item }}}}.conf.j2"
        dest: "~/{{{{ item }}}}"
        mode: "0600"
      loop: [slurm, gres, cgroup]
"""


@dataclass(frozen=True)
class Written:
    """The lines of the files, those that are empty or comments apart."""

    slurm: list[str]
    gres: list[str]
    cgroup: list[str]


async def written(
    rig: Rig, nodes: dict[str, dict[str, Any]], **settings: Any
) -> Written:
    """Return what is written on the controller of these nodes."""
    provider = rig.provider(
        groups={"frontend": ["slurm_master"], "compute": ["slurm_worker"]},
        playbook=rig.playbook(PLAYBOOK),
        variables={**DEFAULTS, "nodes": nodes, **settings},
    )
    report = await provider.setup(rig.cluster, only=["frontend001"])
    assert report.ok, report
    home = rig.home("frontend001")
    return Written(*[await lines(home / name) for name in ("slurm", "gres", "cgroup")])


async def lines(path: Any) -> list[str]:
    text = await Path(path).read_text()
    return [line for line in text.splitlines() if line and line[0] != "#"]


def node(kind: str, **facts: Any) -> dict[str, Any]:
    """Return a worker as the role describes it."""
    return {
        "kind": kind,
        "address": "10.0.0.7",
        "hardware": "CPUs=4 RealMemory=8000",
        "memory_per_cpu": 2000,
        "gpus": [],
        "cgroup": "v2",
        "confines": True,
        "version": "22.05.8",
        **facts,
    }


async def test_nodes_are_in_the_partition_of_their_kind_with_what_they_have(
    rig: Rig,
) -> None:
    nodes = {
        "compute001": node("compute"),
        "compute002": node("fat", gpus=["/dev/nvidia0", "/dev/nvidia1"]),
    }
    found = await written(rig, nodes)
    assert "NodeName=compute001 NodeAddr=10.0.0.7 CPUs=4 RealMemory=8000 " in (
        "".join(found.slurm)
    )
    assert any(
        line.startswith("NodeName=compute002 ") and "Gres=gpu:2" in line
        for line in found.slurm
    )
    assert [line for line in found.slurm if line.startswith("PartitionName")] == [
        "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP",
        "PartitionName=compute Nodes=compute001 MaxTime=INFINITE State=UP",
        "PartitionName=fat Nodes=compute002 MaxTime=INFINITE State=UP",
    ]
    assert "DefMemPerCPU=2000" in found.slurm
    assert "GresTypes=gpu" in found.slurm
    assert found.gres == [
        "NodeName=compute002 Name=gpu File=/dev/nvidia0",
        "NodeName=compute002 Name=gpu File=/dev/nvidia1",
    ]
    assert "ConstrainDevices=yes" in found.cgroup


async def test_jobs_are_confined_where_every_worker_can_do_that(rig: Rig) -> None:
    found = await written(rig, {"compute001": node("compute")})
    assert "ProctrackType=proctrack/cgroup" in found.slurm
    assert "TaskPlugin=task/affinity,task/cgroup" in found.slurm
    assert "CgroupPlugin=cgroup/v2" in found.cgroup

    container = node("compute", cgroup="none", confines=False)
    both = {"compute001": node("compute"), "compute002": container}
    mixed = await written(rig, both)
    assert "ProctrackType=proctrack/linuxproc" in mixed.slurm
    assert "TaskPlugin=task/none" in mixed.slurm


async def test_variables_of_elasticluster_and_ones_own_settings_are_written(
    rig: Rig,
) -> None:
    nodes = {"compute001": node("compute", version="21.08.5")}
    found = await written(
        rig,
        nodes,
        slurm_selecttype="select/cons_res",
        slurm_fastschedule=1,
        slurm_maxarraysize=5,
        slurm_constrainramspace=False,
        slurm_settings={"PriorityType": "priority/multifactor", "MaxJobCount": 7},
    )
    assert "SelectType=select/cons_tres" in found.slurm
    assert "MaxArraySize=5" in found.slurm
    assert "PriorityType=priority/multifactor" in found.slurm
    assert "MaxJobCount=7" in found.slurm
    assert "MaxJobCount=10000" not in found.slurm
    assert "SlurmdParameters=config_overrides" not in found.slurm
    assert "ConstrainRAMSpace=no" in found.cgroup
    # Slurm before 22.05 does not know of it, and refuses what it does not know.
    assert not any(line.startswith("CgroupPlugin") for line in found.cgroup)


async def test_without_any_worker_the_controller_can_start_all_the_same(
    rig: Rig,
) -> None:
    found = await written(rig, {})
    assert "NodeName=none State=FUTURE" in found.slurm
    assert sum(line.startswith("PartitionName") for line in found.slurm) == 1
