"""What the slurm role reads of a host, and what it makes of its variables."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from types import ModuleType

import pytest

from aioelasticluster.setup.ansible import AnsibleSetupProvider
from aioelasticluster.setup.environment import PLAYBOOKS

PATH = PLAYBOOKS / "roles" / "slurm" / "library" / "aioec_slurm_node.py"

#: What slurmd 22.05 says of a host with `slurmd -C`.
DESCRIPTION = """\
NodeName=compute001 CPUs=4 Boards=1 SocketsPerBoard=1 CoresPerSocket=2 \
ThreadsPerCore=2 RealMemory=24105
UpTime=0-00:30:11
"""


@pytest.fixture(scope="module")
def node() -> ModuleType:
    spec = importlib.util.spec_from_file_location("aioec_slurm_node", PATH)
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_a_node_is_what_slurmd_says_it_is(node: ModuleType) -> None:
    assert node.hardware(DESCRIPTION, None) == {
        "hardware": "CPUs=4 Boards=1 SocketsPerBoard=1 CoresPerSocket=2 "
        "ThreadsPerCore=2 RealMemory=24105",
        "memory_per_cpu": 6026,
    }


def test_a_limit_of_memory_counts_where_it_is_the_lower_one(
    node: ModuleType, tmp_path: Path
) -> None:
    limit = tmp_path / "memory.max"
    assert node.memory_limit(str(limit)) is None
    limit.write_text("max\n")
    assert node.memory_limit(str(limit)) is None
    limit.write_text(f"{512 * 1024 * 1024}\n")
    assert node.memory_limit(str(limit)) == 512
    assert node.hardware(DESCRIPTION, 512)["memory_per_cpu"] == 128
    assert node.hardware(DESCRIPTION, 99_999)["memory_per_cpu"] == 6026


def test_gpus_are_the_numbered_devices_of_nvidia(node: ModuleType) -> None:
    devices = ["/dev/nvidia10", "/dev/nvidia2", "/dev/nvidiactl", "/dev/nvidia-uvm"]
    assert node.gpus(devices) == ["/dev/nvidia2", "/dev/nvidia10"]


@pytest.mark.parametrize(
    ("present", "says"),
    [
        ({"cgroup.controllers": "cpuset cpu io memory pids"}, "v2"),
        ({"cgroup.controllers": ""}, "none"),  # version 1 has them all
        ({"cpuset/tasks": "", "memory/tasks": ""}, "v1"),
        ({"cpuset/tasks": "", "memory/tasks": "", "unified/cgroup.procs": ""}, "none"),
        ({"cpuset/tasks": ""}, "none"),
        ({}, "none"),
    ],
)
def test_a_hierarchy_counts_if_slurm_can_confine_jobs_with_it(
    node: ModuleType, tmp_path: Path, present: dict[str, str], says: str
) -> None:
    for name, text in present.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert node.hierarchy(str(tmp_path)) == says


def test_variables_that_mean_nothing_any_more_are_named_before_a_launch(
    caplog: pytest.LogCaptureFixture,
) -> None:
    groups = {"frontend": "slurm_master", "compute": "slurm_worker"}
    variables = {"slurm_version": "18.08", "slurm_maxarraysize": 10}
    with caplog.at_level(logging.WARNING, "aioelasticluster"):
        AnsibleSetupProvider(groups, variables=variables).check(groups)
    (record,) = caplog.records
    assert record.getMessage() == (
        "variable slurm_version is ignored: "
        "the version is the one that the nodes' system packages"
    )
