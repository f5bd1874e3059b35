"""ElastiCluster's overview programs on EC2, in a process of their own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clouds.clusters import alive, made
from tests.clouds.ec2.running import Ec2Endpoint, running_ec2, why_no_hosts

pytestmark = [
    pytest.mark.ansible,
    pytest.mark.skipif(bool(why_no_hosts()), reason=why_no_hosts()),
]

_ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def nova() -> Iterator[Ec2Endpoint]:
    """Run a server of somebody's own cloud, as ElastiCluster's manual has it."""
    key = ("access_key", "secret_key")
    with running_ec2(hosts=True, region="nova", key=key) as endpoint:
        yield endpoint


@dataclass(frozen=True, slots=True)
class Ran:
    """What the programs came to; `idle` is from the last line to the end."""

    status: int
    lines: list[str]
    errors: str
    idle: float


@pytest.fixture(scope="module")
def overview(nova: Ec2Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Run the programs, with every warning an error."""
    folder, module = tmp_path_factory.mktemp("overview"), "tests.clouds.ec2.overview"
    options = ["-X", "dev", "-W", "error", "-m", module]
    lines, last = [], time.monotonic()
    with (folder / "errors").open("w+") as errors:
        with subprocess.Popen(
            [sys.executable, *options, nova.url, nova.image_id, str(folder)],
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process:
            for line in process.stdout or ():
                lines.append(line.removesuffix("\n"))
                last = time.monotonic()
        idle = time.monotonic() - last
        errors.seek(0)
        return Ran(process.returncode, lines, errors.read(), idle)


def test_it_starts_and_sets_up_a_cluster_at_once(overview: Ran) -> None:
    started, set_up, said = overview.lines[:3]
    assert started.startswith("cluster at-once: 3 alive, 0 booting, 0 failed")
    assert set_up.startswith("set up 3 of 3 hosts")
    assert said == "hello hello hello"


def test_it_starts_nodes_one_by_one_stores_and_reloads_their_cluster(
    overview: Ran,
) -> None:
    assert overview.lines[3:] == [
        "compute001 is alive compute002 is alive frontend001 is alive",
        "<Cluster one-by-one alive: 3 alive>",
        "0 are stored",
    ]


def test_it_exits_within_a_second_of_its_last_line_without_a_warning(
    overview: Ran,
) -> None:
    # In development mode asyncio also tells what was slow on a busy machine.
    complaints = [
        line for line in overview.errors.splitlines() if "Executing <" not in line
    ]
    assert (overview.status, complaints) == (0, [])
    assert overview.idle < 1.0


def test_it_leaves_nothing_in_the_cloud(nova: Ec2Endpoint, overview: Ran) -> None:
    assert len(nova.instances("terminated")) == 6
    assert alive(nova) == set()
    assert made(nova) == {}


def test_it_asks_as_whom_it_was_told_and_once_for_each_order(
    nova: Ec2Endpoint, overview: Ran
) -> None:
    assert {one["region"] for one in nova.instances()} == {"nova"}
    assert {one["status"] for one in nova.requests()} == {200}
    # Two kinds at once are two orders; three nodes one by one are three.
    assert len(nova.requests("RunInstances")) == 5
