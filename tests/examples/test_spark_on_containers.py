"""The Spark example, as a stranger with Docker runs it."""

from __future__ import annotations

import pytest

from tests.examples.conftest import Machine
from tests.hosts.contents import contents

pytestmark = [
    pytest.mark.containers,
    pytest.mark.soak,  # 430 MB of jars for each of three hosts
    pytest.mark.timeout(1800, func_only=True),
]

LETTERS = "a: 2, c: 1, h: 1, l: 1, m: 1, n: 1, o: 2, s: 1, t: 2, w: 3"


def test_two_workers_count_and_then_the_one_that_stays(
    machine: Machine, engine_of_a_stranger: str
) -> None:
    ran = machine.run("07_spark_on_containers.py")
    assert ran.status == 0, ran.errors
    assert ran.lines[-4:] == [
        LETTERS,
        "counted by compute001, compute002",
        LETTERS,
        "counted by compute001",
    ]
    assert not contents(engine_of_a_stranger)
    assert machine.processes() == []
