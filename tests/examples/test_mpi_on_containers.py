"""The MPI example, as a stranger with Docker runs it."""

from __future__ import annotations

import re

import pytest

from tests.examples.conftest import PATIENCE, Machine
from tests.hosts.contents import contents

pytestmark = [
    pytest.mark.containers,
    pytest.mark.soak,  # tests/hosts/test_services.py has its parts, in every run
    pytest.mark.timeout(PATIENCE, func_only=True),
]


def test_a_program_is_compiled_once_and_runs_on_two_nodes(
    machine: Machine, engine_of_a_stranger: str
) -> None:
    ran = machine.run("05_mpi_on_containers.py")
    assert (ran.status, ran.errors) == (0, "")
    where = sorted(re.findall(r"process \d of 4 ran on (\w+)", "\n".join(ran.lines)))
    assert where == ["compute001", "compute001", "compute002", "compute002"]
    assert "pi is about 3.14159265" in ran.lines
    assert not contents(engine_of_a_stranger)
    assert machine.processes() == []
