"""Slurm on containers: an array of jobs, and a node that comes while a job runs.

    pip install 'aioelasticluster[cli,containers]'
    aioelasticluster image build
    python examples/03_slurm_on_containers.py

It needs Docker or Podman. Every node is a container with systemd and an SSH server of
its own. If this program is killed half way, run it again: it takes over what it finds,
and stops it.
"""

import asyncio
import sys
from pathlib import Path

import asyncssh
from platformdirs import user_state_path

from aioelasticluster import (
    AnsibleSetupProvider,
    Cluster,
    ContainerCloudProvider,
    ElasticlusterError,
    SqliteRepository,
)

STATE = user_state_path("aioelasticluster")
IMAGE = sys.argv[1] if len(sys.argv) > 1 else "aioelasticluster-host:latest"

#: How to ask for the jobs that were, for the nodes, and for the jobs that are.
SACCT = "sacct --allocations --format=JobID,JobName,NodeList,State,ExitCode"
NODES = "sinfo --noheader --Node --partition=main --format='%N is %T'"
SQUEUE = "squeue --noheader --format='%j is %T on %N'"


async def main(key: Path, public: Path) -> None:
    """Start, set up, compute, grow, stop."""
    cluster = Cluster(
        "slurm",
        ContainerCloudProvider(IMAGE),
        AnsibleSetupProvider(
            {"frontend": ["slurm_master"], "compute": ["slurm_worker"]}
        ),
        "slurm-on-containers",
        str(public),
        str(key),
        repository=SqliteRepository(STATE / "clusters.sqlite"),
        stop_on_exit=True,  # also what an earlier run of this program has launched
    )
    cluster.add_node("frontend", IMAGE, "debian", "any", "default")
    cluster.add_nodes("compute", 2, IMAGE, "debian", "any", "default")
    async with cluster:
        print(await cluster.start(timeout=120))
        print(await cluster.setup())

        # `--wait` returns when all tasks of the array have ended.
        await run(cluster, "sbatch --wait --job-name=array --array=1-8 --wrap hostname")
        print(await run(cluster, SACCT), end="")

        await run(cluster, "sbatch --job-name=long --wrap 'sleep 600'")
        print(await cluster.resize("compute", 3, timeout=120))
        print(await cluster.setup(only="new"))
        print(await run(cluster, NODES), end="")
        print(await run(cluster, "srun --nodes=3 --label hostname | sort"), end="")
        print(await run(cluster, SQUEUE), end="")


async def run(cluster: Cluster, command: str) -> str:
    """Return what a command on the frontend prints; end this program if it fails."""
    result = await cluster.frontend.run(command, timeout=120)
    if not result.ok:
        sys.exit(f"{command}: {result.error or result.stderr}")
    return result.stdout


def make_key_pair(key: Path, public: Path) -> None:
    """Make a key pair for this program alone, unless a killed run has left one."""
    if not public.exists():
        key.parent.mkdir(parents=True, exist_ok=True)
        key.touch(mode=0o600)
        made = asyncssh.generate_private_key("ssh-ed25519")
        made.write_private_key(key)
        made.write_public_key(public)


if __name__ == "__main__":
    pair = STATE / "slurm-on-containers", STATE / "slurm-on-containers.pub"
    make_key_pair(*pair)
    try:
        asyncio.run(main(*pair))
    except ElasticlusterError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted")
    for half in pair:
        half.unlink()
