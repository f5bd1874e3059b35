"""Spark on containers: a job on two workers, and one more on the worker that stays.

    pip install 'aioelasticluster[cli,containers]'
    aioelasticluster image build
    python examples/07_spark_on_containers.py

It needs Docker or Podman, and fetches 430 MB, once. Every node is a container with
systemd and an SSH server of its own. If this program is killed half way, run it again:
it takes over what it finds, and stops it.
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

#: Runs on the frontend, with the cluster's own Spark: how many words begin with each
#: letter, and which hosts have looked?
COMPUTATION = """
import socket
import time
from operator import add
from pyspark.sql import SparkSession

spark = SparkSession.builder.config("spark.ui.enabled", "false").getOrCreate()

def looked_at(word):
    time.sleep(0.1)
    return word[0], 1, socket.gethostname()

words = "so many words that no host could look at all of them while others wait".split()
rows = spark.sparkContext.parallelize(words, 8).map(looked_at).cache()
letters = rows.map(lambda row: row[:2]).reduceByKey(add).collectAsMap()
hosts = rows.map(lambda row: row[2]).distinct().collect()
print(", ".join(f"{letter}: {letters[letter]}" for letter in sorted(letters)))
print("counted by", ", ".join(sorted(hosts)))
spark.stop()
"""


async def main(key: Path, public: Path) -> None:
    """Start, set up, compute, shrink, compute, stop."""
    cluster = Cluster(
        "spark",
        ContainerCloudProvider(IMAGE),
        AnsibleSetupProvider(
            {"frontend": ["spark_master"], "compute": ["spark_worker"]},
            variables={"spark_worker_memory_mb": 1024, "spark_executor_memory_mb": 512},
        ),
        "spark-on-containers",
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
        print(await compute(cluster), end="")

        await cluster.remove_node("compute002")  # Spark moves its work away before
        print(await compute(cluster), end="")


async def compute(cluster: Cluster) -> str:
    """Return what the computation prints; end this program if it fails."""
    result = await cluster.frontend.run("bin/spark-python -", stdin=COMPUTATION)
    if not result.ok:
        sys.exit(f"the computation failed: {result.error or result.stderr}")
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
    pair = STATE / "spark-on-containers", STATE / "spark-on-containers.pub"
    make_key_pair(*pair)
    try:
        asyncio.run(main(*pair))
    except ElasticlusterError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted")
    for half in pair:
        half.unlink()
