"""One cluster's life with Slurm, and what was seen of it.

One life serves all tests of the role: hosts are quick to start, packages are not quick
to install.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from aioelasticluster import AnsibleSetupProvider, Cluster, SetupError, SetupReport
from aioelasticluster._aio.processes import marked
from aioelasticluster.model.events import SetupTaskDone
from tests.hosts.clusters import cluster_on, provider_for

#: How long (seconds) a job may take that has nothing to do.
JOB = 30.0

#: The process of slurmd: another one means that it was restarted.
_SLURMD = "systemctl show --property=MainPID --value slurmd"

#: What a job does that runs through everything else: it tells each start of it.
_STEPS = "echo started >> ~/starts; sleep 600"


@dataclass
class Seen:
    """What was seen of the life, in the order in which it happened."""

    #: Seconds from nothing to the end of each step.
    after: dict[str, float] = field(default_factory=dict)
    first_job: list[str] = field(default_factory=list)
    with_gpu: list[str] = field(default_factory=list)
    partitions: list[str] = field(default_factory=list)

    broken: SetupReport | None = None
    after_broken: str = ""
    mended: SetupReport | None = None

    array: list[str] = field(default_factory=list)

    grown: SetupReport | None = None
    wide_job: list[str] = field(default_factory=list)
    slurmd: set[str] = field(default_factory=set)

    names_before: list[str] = field(default_factory=list)
    names_after: list[str] = field(default_factory=list)
    nodes_after: list[str] = field(default_factory=list)
    requeued: str = ""
    long_job: list[str] = field(default_factory=list)
    starts: list[str] = field(default_factory=list)

    stopping: float = 0.0
    left_running: list[object] = field(default_factory=list)
    again: SetupReport | None = None


async def live(url: str, folder: Path) -> Seen:
    """Live the life on a container engine; nothing of it is left."""
    setup = AnsibleSetupProvider(
        {"frontend": ["slurm_master"], "compute": ["slurm_worker"]},
        variables={"slurm_drain_timeout": 2},
        work_dir=folder / "work",
        cache_dir=folder / "cache",
    )
    began, seen = time.monotonic(), Seen()

    def done(step: str) -> None:
        seen.after[step] = time.monotonic() - began

    cluster = cluster_on(provider_for(url), folder, setup, frontend=1, compute=3)
    async with cluster:
        await cluster.start(timeout=60)
        done("start")
        # No GPU, but Slurm takes what has the name of one for one.
        await lines(cluster, "sudo mknod /dev/nvidia0 c 1 3", on="compute002")
        await cluster.setup()
        done("set-up")
        seen.first_job = await srun(cluster, "-N3", "hostname")
        done("first job")
        seen.with_gpu = await srun(cluster, "--gres=gpu:1", "hostname")
        seen.partitions = await lines(cluster, "sinfo --noheader --format=%P/%D/%T")
        await _break_and_mend(cluster, seen)
        done("failure")
        seen.array = await _array(cluster)
        done("array")
        await lines(cluster, f"sbatch -J long -w compute001 --wrap '{_STEPS}'")
        async with _long_job(cluster, seen):
            await _grow(cluster, seen)
            done("growth")
            await _shrink(cluster, seen)
            done("removal")
        await _cancel(cluster, seen, folder)
        done("cancellation")
        seen.again = await cluster.setup()
        done("second set-up")
    done("stop")
    return seen


async def lines(cluster: Cluster, command: str, on: str = "frontend001") -> list[str]:
    """Return the lines that a command prints; it must succeed."""
    node = cluster.get_node_by_name(on)
    ran = await node.run(command, timeout=JOB)
    assert ran.ok, f"{command}: {ran.error}{ran.stderr}"
    return ran.stdout.splitlines()


async def srun(cluster: Cluster, *words: str) -> list[str]:
    """Run a job and return what it prints, sorted."""
    return sorted(
        await lines(cluster, " ".join(["timeout", f"{JOB:g}", "srun", *words]))
    )


async def until(cluster: Cluster, command: str, wanted: list[str]) -> list[str]:
    """Return what a command prints once it is wanted, or at last."""
    deadline = time.monotonic() + JOB
    while (found := await lines(cluster, command)) != wanted:
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.5)
    return found


async def _break_and_mend(cluster: Cluster, seen: Seen) -> None:
    """Break one host, so that a task fails there, then take the cause away."""
    await lines(cluster, "sudo mv /etc/munge /etc/away", on="compute003")
    try:
        await cluster.setup()
    except SetupError as error:
        seen.broken = error.report
    states = (f"{node.name} {node.state}" for node in cluster.get_all_nodes())
    seen.after_broken = ", ".join(states)
    await lines(cluster, "sudo mv /etc/away /etc/munge", on="compute003")
    seen.mended = await cluster.setup(only="failed")


async def _array(cluster: Cluster) -> list[str]:
    """Run an array of eight tasks; return what accounting says of them."""
    (job,) = await lines(cluster, "sbatch --parsable --array=1-8 --wrap hostname")
    command = f"sacct --noheader --parsable2 -X -j {job} --format=state"
    return await until(cluster, command, ["COMPLETED"] * 8)


@asynccontextmanager
async def _long_job(cluster: Cluster, seen: Seen) -> AsyncIterator[None]:
    """See that the job on compute001 runs on, in the same slurmd."""
    await until(cluster, "squeue --noheader --name=long --format=%T", ["RUNNING"])
    seen.slurmd |= set(await lines(cluster, _SLURMD, on="compute001"))
    yield
    seen.slurmd |= set(await lines(cluster, _SLURMD, on="compute001"))
    command = "sacct --noheader --parsable2 -X --name=long --format=state"
    seen.long_job = await lines(cluster, command)
    seen.starts = await lines(cluster, "cat ~/starts", on="compute001")
    await lines(cluster, "scancel --name=long")


async def _grow(cluster: Cluster, seen: Seen) -> None:
    await cluster.resize("compute", 4, timeout=60)
    seen.grown = await cluster.setup(only="new")
    seen.wide_job = await srun(cluster, "-N4", "hostname")
    seen.names_before = await _names(cluster)


async def _shrink(cluster: Cluster, seen: Seen) -> None:
    """Remove a node on which a job runs that may run elsewhere."""
    others = "compute001,compute002,compute003"
    command = f"sbatch --parsable --exclude={others} --wrap 'sleep 300'"
    (job,) = await lines(cluster, command)
    state = f"squeue --noheader --format=%T --jobs={job}"
    await until(cluster, state, ["RUNNING"])
    await cluster.remove_node("compute004")
    seen.nodes_after = await lines(
        cluster, "sinfo --noheader --Node --format=%N -p main"
    )
    seen.names_after = await _names(cluster)
    (seen.requeued,) = await lines(cluster, state)
    await lines(cluster, f"scancel {job}")


async def _names(cluster: Cluster) -> list[str]:
    """Return the names that an old worker knows."""
    found = await lines(cluster, "grep ^10 /etc/hosts", on="compute001")
    return sorted({line.split()[1] for line in found})


async def _cancel(cluster: Cluster, seen: Seen, folder: Path) -> None:
    """Cancel a set-up under way; see when Ansible has gone."""
    work = asyncio.create_task(cluster.setup())
    async for event in cluster.events():
        if isinstance(event, SetupTaskDone):
            break
    began = time.monotonic()
    work.cancel()
    await asyncio.wait({work})
    seen.stopping = time.monotonic() - began
    mark = f"ANSIBLE_HOME={folder}/work"
    seen.left_running = list(await anyio.to_thread.run_sync(marked, mark))
