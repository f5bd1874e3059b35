"""Ray: a head and two workers look for primes, on this machine or on containers.

    pip install 'aioelasticluster[cli]'
    python examples/06_ray.py

Every node is a real SSH server, a process of yours with a home of its own. With
Docker or Podman every node is a container instead:

    pip install 'aioelasticluster[cli,containers]'
    aioelasticluster image build
    python examples/06_ray.py aioelasticluster-host:latest

If this program is killed half way, run it again: it takes over what it finds, and
stops it.
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
    LocalCloudProvider,
    SqliteRepository,
)

STATE = user_state_path("aioelasticluster")
IMAGE = sys.argv[1] if len(sys.argv) > 1 else ""

#: Runs on the frontend, with the cluster's own Ray: every node gets its share.
COMPUTATION = """
from itertools import cycle
from math import isqrt
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

ray.init(logging_level="error", log_to_driver=False)
names = {node["NodeID"]: node["NodeName"] for node in ray.nodes()}

@ray.remote
def primes(start, stop):
    found = sum(all(n % d for d in range(2, isqrt(n) + 1)) for n in range(start, stop))
    return found, ray.get_runtime_context().get_node_id()

shares = [
    primes.options(
        scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
    ).remote(max(2, start), start + 10_000)
    for start, node in zip(range(0, 200_000, 10_000), cycle(names))
]
found, nodes = zip(*ray.get(shares))
used = ", ".join(sorted({names[node] for node in nodes}))
print(f"{sum(found):,} primes below 200,000, found by {used}")
"""


async def main(key: Path, public: Path) -> None:
    """Start, set up, compute, stop."""
    cluster = Cluster(
        "ray",
        ContainerCloudProvider(IMAGE) if IMAGE else LocalCloudProvider(),
        AnsibleSetupProvider({"frontend": ["ray_head"], "compute": ["ray_worker"]}),
        "ray-cluster",
        str(public),
        str(key),
        repository=SqliteRepository(STATE / "clusters.sqlite"),
        stop_on_exit=True,  # also what an earlier run of this program has launched
    )
    cluster.add_node("frontend", IMAGE or "any", "debian", "any", "default")
    cluster.add_nodes("compute", 2, IMAGE or "any", "debian", "any", "default")
    async with cluster:
        print(await cluster.start(timeout=120))
        print(await cluster.setup())
        result = await cluster.frontend.run("bin/ray-python -", stdin=COMPUTATION)
    if not result.ok:
        sys.exit(f"the computation failed: {result.error or result.stderr}")
    print(result.stdout, end="")


def make_key_pair(key: Path, public: Path) -> None:
    """Make a key pair for this program alone, unless a killed run has left one."""
    if not public.exists():
        key.parent.mkdir(parents=True, exist_ok=True)
        key.touch(mode=0o600)
        made = asyncssh.generate_private_key("ssh-ed25519")
        made.write_private_key(key)
        made.write_public_key(public)


if __name__ == "__main__":
    pair = STATE / "ray-cluster", STATE / "ray-cluster.pub"
    make_key_pair(*pair)
    try:
        asyncio.run(main(*pair))
    except ElasticlusterError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted")
    for half in pair:
        half.unlink()
