"""ElastiCluster's overview programs, with every warning an error."""

from __future__ import annotations

import pytest

from tests.examples.conftest import PATIENCE, Machine, Ran

pytestmark = [pytest.mark.ansible, pytest.mark.timeout(PATIENCE)]


@pytest.fixture(scope="module")
def overview(machine: Machine) -> Ran:
    return machine.run("02_overview.py", "-X", "dev", "-W", "error")


def test_it_starts_and_sets_up_a_cluster_at_once(overview: Ran) -> None:
    started, set_up, stopped = overview.lines[:3]
    assert started.startswith("cluster at-once: 3 alive, 0 booting, 0 failed")
    assert set_up.startswith("set up 3 of 3 hosts")
    assert stopped == "at-once is stopped"


def test_it_starts_nodes_one_by_one_stores_and_reloads_their_cluster(
    overview: Ran,
) -> None:
    names = ["compute001", "compute002", "frontend001"]
    nodes, (alive, stored, stopped) = overview.lines[3:6], overview.lines[6:]
    assert [line.partition(" is alive at ")[0] for line in nodes] == names
    assert alive == f"still alive: {', '.join(names)}"
    assert stored == "stored: <Cluster one-by-one alive: 3 alive>"
    assert stopped == "one-by-one is stopped, 0 are stored"


def test_it_exits_within_a_second_of_its_last_line_without_a_warning(
    overview: Ran,
) -> None:
    # In development mode asyncio also tells what was slow on a busy machine.
    complaints = [
        line for line in overview.errors.splitlines() if "Executing <" not in line
    ]
    assert (overview.status, complaints) == (0, [])
    assert overview.idle < 1.0


def test_it_leaves_no_process_and_no_file(overview: Ran, machine: Machine) -> None:
    assert machine.processes() == []
    assert machine.files() == set()
