"""The benchmark runs and writes what others read; its figures are not judged here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clouds.ec2.running import why_no_hosts

EC2 = Path(__file__).parents[2] / "benchmarks" / "ec2.py"

CLIENTS = ["aioelasticluster", "without rotation", "boto3 + threads", "apache-libcloud"]

FIGURES = {
    f"{phase}_{figure}"
    for phase in ("start", "stop")
    for figure in ("s", "cpu_s", "server_cpu_s", "hosts_cpu_s", "requests", "actions")
}


def measured(folder: Path, *options: str) -> tuple[dict[str, Any], str]:
    """Run the benchmark; return what it wrote and what it showed."""
    found = folder / "results" / "ec2.json"
    command = [sys.executable, str(EC2), *options, "--json", str(found)]
    done = subprocess.run(
        command,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(folder)},
    )
    assert list(folder.iterdir()) == [found.parent]
    result: dict[str, Any] = json.loads(found.read_text())
    return result, done.stdout


@pytest.mark.skipif(bool(why_no_hosts()), reason=why_no_hosts())
@pytest.mark.timeout(180)
def test_two_nodes_are_measured_for_all_clients(tmp_path: Path) -> None:
    result, shown = measured(
        tmp_path, "--nodes", "2", "--boot", "0.2", "--latency", "0.01"
    )
    rows = result["side_by_side"]["rows"]
    assert [row["client"] for row in rows] == CLIENTS
    for row in rows:
        assert row.keys() >= FIGURES
        assert row["start_actions"]["RunInstances"] == 1
        assert row["start_requests"] == sum(row["start_actions"].values())
        assert row["start_hosts_cpu_s"] > 0
        assert row["client"] in shown
    assert result["side_by_side"]["limits"] == []


@pytest.mark.timeout(120)
def test_launches_are_counted_where_limits_hold(tmp_path: Path) -> None:
    result, shown = measured(
        tmp_path, "--throttled", "--nodes", "101", "--latency", "0.01"
    )
    (row,) = result["throttled"]["rows"]
    assert (row["nodes"], row["launches"], row["refused"]) == (101, 2, 0)
    assert "first to last" in shown
