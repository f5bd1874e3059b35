"""The benchmark runs and writes what others read; its figures are not judged here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.test_ec2 import FIGURES
from tests.clouds.gce.running import why_no_hosts

GOOGLE = Path(__file__).parents[2] / "benchmarks" / "google.py"

CLIENTS = ["aioelasticluster", "apache-libcloud"]


@pytest.mark.skipif(bool(why_no_hosts()), reason=why_no_hosts())
@pytest.mark.timeout(180)
def test_two_nodes_are_measured_for_all_clients(tmp_path: Path) -> None:
    found = tmp_path / "results" / "google.json"
    options = ["--nodes", "2", "--boot", "0.2", "--latency", "0.01"]
    done = subprocess.run(
        [sys.executable, str(GOOGLE), *options, "--json", str(found)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert list(tmp_path.iterdir()) == [found.parent]
    result = json.loads(found.read_text())
    assert [row["client"] for row in result["rows"]] == CLIENTS
    for row in result["rows"]:
        assert row.keys() >= FIGURES
        assert row["start_requests"] == sum(row["start_actions"].values())
        assert row["start_hosts_cpu_s"] > 0
        assert row["client"] in done.stdout
    assert result["rows"][0]["start_actions"]["instances.bulkInsert"] == 1
    assert result["limits"] == []
