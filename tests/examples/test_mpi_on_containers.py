"""The MPI example, as a stranger with Docker runs it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from aioelasticluster.providers.containers.building import DEFAULT_TAG, split_tag
from tests.examples.conftest import PATIENCE, Machine
from tests.hosts.contents import ask, contents, sweep
from tests.hosts.images import TAG
from tests.hosts.running import RunningEngine

pytestmark = [pytest.mark.containers, pytest.mark.timeout(PATIENCE, func_only=True)]


@pytest.fixture
def engine_of_a_stranger(
    docker: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Return the address of an engine in which the image has its usual name."""
    name, tag = split_tag(DEFAULT_TAG)
    ask(docker.url, "POST", f"images/{TAG}/tag?repo={name}&tag={tag}")
    monkeypatch.setenv("DOCKER_HOST", docker.url)
    yield docker.url
    sweep(docker.url)
    ask(docker.url, "DELETE", f"images/{DEFAULT_TAG}?noprune=true")


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
