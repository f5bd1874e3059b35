"""The Slurm example, as a stranger with Docker runs it."""

from __future__ import annotations

import pytest

from tests.examples.conftest import PATIENCE, Machine
from tests.hosts.contents import contents

pytestmark = [
    pytest.mark.ansible,
    pytest.mark.containers,
    pytest.mark.soak,  # tests/hosts/test_slurm.py has its parts, in every run
    pytest.mark.timeout(PATIENCE, func_only=True),
]


def test_an_array_runs_and_a_node_comes_while_a_job_runs(
    machine: Machine, engine_of_a_stranger: str
) -> None:
    ran = machine.run("03_slurm_on_containers.py")
    assert (ran.status, ran.errors) == (0, "")
    started, set_up = ran.lines[:2]
    assert started.startswith("cluster slurm: 3 alive, 0 booting, 0 failed")
    assert set_up.startswith("set up 3 of 3 hosts")
    assert sum("COMPLETED" in line for line in ran.lines) == 8
    nodes = ["compute001", "compute002", "compute003"]
    # The long job may be on either of the first two nodes, and goes on there.
    states, printed, (job,) = ran.lines[-7:-4], ran.lines[-4:-1], ran.lines[-1:]
    assert [line.split()[0] for line in states] == nodes
    assert printed == [f"{rank}: {name}" for rank, name in enumerate(nodes)]
    assert job in [f"long is RUNNING on {name}" for name in nodes[:2]]
    assert not contents(engine_of_a_stranger)
    assert machine.processes() == []
