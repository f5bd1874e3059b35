"""What is played before hosts leave, on hosts that can do little."""

from __future__ import annotations

import pytest

from tests.setup.conftest import Rig

pytestmark = [pytest.mark.ansible, pytest.mark.usefixtures("unblocked")]

GROUPS = {
    "frontend": ["dask_scheduler", "ray_head", "spark_master"],
    "compute": ["dask_worker", "ray_worker", "spark_worker"],
}

#: What before_removal.yml has Slurm's controller do, on a host without root.
FORGET = """
- hosts: slurm_master
  gather_facts: false
  tasks:
    - ansible.builtin.setup: {gather_subset: [distribution]}
    - ansible.builtin.import_role: {name: slurm, tasks_from: leave}
"""


async def test_workers_may_leave_although_no_set_up_has_come_to_their_master(
    rig: Rig,
) -> None:
    await rig.provider(groups=GROUPS).before_removal(rig.cluster, ["compute002"])
    assert rig.told("failed") == rig.told("changed") == []
    retired = {task for node, task in rig.told("ok") if node == "frontend001"}
    assert retired == {
        "dask : Retire the workers that leave",
        "ray : Drain the workers that leave",
        "spark : Decommission the workers that leave",
    }


async def test_slurm_lets_nodes_leave_although_it_was_never_set_up(rig: Rig) -> None:
    rig.playbook(FORGET, "before_removal.yml")
    provider = rig.provider(
        groups={"frontend": "slurm_master", "compute": "slurm_worker"},
        playbook=rig.playbook("[]"),
        variables={"slurm_nodes_file": str(rig.folder / "nodes.json")},
    )
    await provider.before_removal(rig.cluster, ["compute002"])
    assert ("frontend001", "slurm : Forget the nodes") in rig.told("skipped")
