"""What fifty instances of the local cloud may cost."""

from __future__ import annotations

import json
import re
import resource
import time

import anyio

from tests.providers.local_cloud import LocalCloud

COUNT = 50


def client_seconds() -> float:
    """Return the CPU time that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def proportional_size(pid: int) -> float:
    """Return the memory (MiB) of a process, its part of what it shares included."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        found = re.search(r"^Pss:\s+(\d+) kB", file.read(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


async def test_fifty_instances_are_up_small_and_gone_in_time(
    cloud: LocalCloud,
) -> None:
    began, cpu = time.time(), client_seconds()
    instances = await cloud.launch(*[f"compute{n:03d}" for n in range(1, COUNT + 1)])
    cpu = client_seconds() - cpu
    assert time.time() - began < 15

    for instance in instances:
        log = cloud.provider.log_of(instance.id).read_text().splitlines()
        up = next(entry for entry in map(json.loads, log) if entry["event"] == "ssh-up")
        assert up["at"] - began < 15
        folder = cloud.state / "instances" / instance.id
        assert proportional_size(int((folder / "server.pid").read_text())) < 25

    # Ours may grow with the polls, but hardly with the nodes.
    assert cpu / COUNT < 0.004

    ids = [instance.id for instance in instances]
    with anyio.fail_after(2):
        await cloud.provider.terminate(ids)
        await cloud.gone(*ids)
