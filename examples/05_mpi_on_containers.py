"""MPI on containers: a program is compiled on a frontend and runs on two other nodes.

    pip install 'aioelasticluster[cli,containers]'
    aioelasticluster image build
    python examples/05_mpi_on_containers.py

It needs Docker or Podman. Every node is a container with systemd and an SSH server of
its own, and they share /home. If this program is killed half way, run it again: it
takes over what it finds, and stops it.
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

#: Adds up the area under a quarter of a circle, each process its share of the strips.
PROGRAM = """
#include <math.h>
#include <mpi.h>
#include <stdio.h>

int main(int argc, char **argv) {
    const long strips = 100 * 1000 * 1000;
    int rank, size, length;
    char name[MPI_MAX_PROCESSOR_NAME];
    double mine = 0, pi;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Get_processor_name(name, &length);
    for (long strip = rank; strip < strips; strip += size) {
        double x = (strip + 0.5) / strips;
        mine += 4 * sqrt(1 - x * x) / strips;
    }
    printf("process %d of %d ran on %s\\n", rank, size, name);
    MPI_Reduce(&mine, &pi, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
    if (rank == 0) printf("pi is about %.8f\\n", pi);
    return MPI_Finalize();
}
"""


async def main(key: Path, public: Path) -> None:
    """Start, set up, compile, run, stop."""
    cluster = Cluster(
        "mpi",
        ContainerCloudProvider(IMAGE),
        AnsibleSetupProvider(
            {"frontend": ["hpc"], "compute": ["hpc"]},
            kind_variables={"compute": {"hpc_compilers": False}},
        ),
        "mpi-on-containers",
        str(public),
        str(key),
        repository=SqliteRepository(STATE / "clusters.sqlite"),
        stop_on_exit=True,  # also what an earlier run of this program has launched
    )
    home = {"volumes": "home:/home"}
    cluster.add_node("frontend", IMAGE, "debian", "any", "default", **home)
    cluster.add_nodes("compute", 2, IMAGE, "debian", "any", "default", **home)
    async with cluster:
        print(await cluster.start(timeout=120))
        print(await cluster.setup())
        await run(cluster, "mpicc -O2 -x c -o pi - -lm", PROGRAM)
        nodes = [node.name for node in cluster.nodes["compute"]]
        hosts = ",".join(f"{name}:2" for name in nodes)
        print(await run(cluster, f"mpirun --host {hosts} ./pi"), end="")


async def run(cluster: Cluster, command: str, stdin: str = "") -> str:
    """Return what a command on the frontend prints; end this program if it fails."""
    result = await cluster.frontend.run(command, stdin=stdin, timeout=120)
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
    pair = STATE / "mpi-on-containers", STATE / "mpi-on-containers.pub"
    make_key_pair(*pair)
    try:
        asyncio.run(main(*pair))
    except ElasticlusterError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted")
    for half in pair:
        half.unlink()
