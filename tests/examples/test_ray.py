"""The Ray example, on this machine."""

from __future__ import annotations

import pytest

from tests.examples.conftest import PATIENCE, Machine

pytestmark = [
    pytest.mark.ansible,
    pytest.mark.soak,  # tests/setup/test_ray.py has its parts, in every run
    pytest.mark.timeout(PATIENCE),
]

PROOF = "17,984 primes below 200,000, found by compute001, compute002, frontend001"


def test_every_node_looks_for_primes_and_nothing_is_left(machine: Machine) -> None:
    ran = machine.run("06_ray.py")
    assert (ran.status, ran.errors) == (0, "")
    assert ran.lines[-1] == PROOF
    assert machine.processes() == []
    assert machine.files() == {"state/aioelasticluster/clusters.sqlite"}
