"""The benchmark runs and writes what others read; its figures are not judged here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LAUNCH = Path(__file__).parents[2] / "benchmarks" / "launch.py"

FIGURES = {
    "client",
    "nodes",
    "ready_s",
    "ideal_s",
    "ready_over_ideal",
    "after_last_up_s",
    "cpu_s",
    "connections",
    "pss_mib",
    "stop_s",
}


@pytest.mark.timeout(120)
def test_one_node_is_measured_for_all_clients(tmp_path: Path) -> None:
    found = tmp_path / "results" / "launch.json"
    command = [sys.executable, str(LAUNCH), "--nodes", "1", "--rounds", "1"]
    shown = subprocess.run(
        [*command, "--json", str(found)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    ).stdout
    result = json.loads(found.read_text())
    ours, without_rotation, plain = result["rows"]
    for row in (ours, without_rotation, plain):
        assert row.keys() >= FIGURES
        assert (row["nodes"], row["connections"] >= 1) == (1, True)
        assert row["client"] in shown
    assert ours["ready_s"] > ours["ideal_s"] > 0
    assert ours["transactions"] > 0
    assert [ratio["nodes"] for ratio in result["ratios"]] == [1]
    assert result["limits"] == []
    assert list(tmp_path.iterdir()) == [found.parent]
