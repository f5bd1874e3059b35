"""Services in Python on hosts with root and systemd, run as their users would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aioelasticluster import AnsibleSetupProvider, Cluster
from tests.hosts.fixtures import MakeCluster
from tests.hosts.sharing import MARKS
from tests.required import kept

pytestmark = [*MARKS, pytest.mark.ansible]

PASSWORD = "open sesame"

#: Tasks that last, so that one worker cannot have them all.
DASK = """
import time
from distributed import Client, get_worker
client = Client()
def square(n):
    time.sleep(0.2)
    return n * n, get_worker().name
results = client.gather(client.map(square, range(16)))
print(sum(n for n, _ in results), *sorted({name for _, name in results}))
"""

#: Where the scheduler is, as one is told who asks for no other.
ADDRESS = "from distributed import Client; print(Client().scheduler.address)"

RAY = """
from itertools import cycle
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
ray.init(logging_level="error", log_to_driver=False)
names = {node["NodeID"]: node["NodeName"] for node in ray.nodes() if node["Alive"]}

@ray.remote
def square(n):
    return n * n, ray.get_runtime_context().get_node_id()

def on(node):
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}

shares = zip(range(16), cycle(names))
results = ray.get([square.options(**on(node)).remote(n) for n, node in shares])
print(sum(n for n, _ in results), *sorted({names[node] for _, node in results}))
"""

SPARK = """
import socket, time
from pyspark.sql import SparkSession
spark = SparkSession.builder.config("spark.ui.enabled", "false").getOrCreate()

def square(n):
    time.sleep(0.5)
    return n * n, socket.gethostname()

results = spark.sparkContext.parallelize(range(16), 16).map(square).collect()
print(sum(n for n, _ in results), *sorted({host for _, host in results}))
spark.stop()
"""

#: What a browser does, from the login page to the user's own server.
LOG_IN = Path(__file__).with_name("log_in.py").read_text()


def setup_provider(
    folder: Path, groups: dict[str, list[str]], **settings: Any
) -> AnsibleSetupProvider:
    """Return a provider that keeps wheels from run to run of the tests."""
    return AnsibleSetupProvider(
        groups, work_dir=folder / "work", cache_dir=kept() / "setup", **settings
    )


async def on_frontend(cluster: Cluster, command: str, program: str) -> str:
    """Run a program on the frontend, as a user would over SSH; return what it says."""
    result = await cluster.frontend.run(command, stdin=program)
    assert result.ok, result
    return result.stdout.strip()


@pytest.mark.timeout(600, func_only=True)  # two minutes, unless the machine is busy
async def test_dask_and_jupyterhub_serve_and_change_nothing_when_set_up_again(
    make_cluster: MakeCluster, tmp_path: Path
) -> None:
    setup = setup_provider(
        tmp_path,
        {
            "frontend": ["dask_scheduler", "dask_worker", "jupyterhub"],
            "compute": ["dask_worker"],
        },
        secrets={"jupyterhub_passwords": {"debian": PASSWORD}},
    )
    cluster = make_cluster(setup, frontend=1, compute=1)
    await cluster.start()
    await cluster.setup()
    said = await on_frontend(cluster, "dask-python -", DASK)
    assert said == "1240 compute001 frontend001"
    log_in = f"python3 - http://127.0.0.1:8000 debian '{PASSWORD}'"
    assert await on_frontend(cluster, log_in, LOG_IN) == "debian 403 200 200"

    report = await cluster.setup()
    assert report.changed == 0, report

    # A change of the variables restarts the services, each at the port that it had.
    extra = ("--extra-vars", '{"dask_environment": {"MALLOC_TRIM_THRESHOLD_": "1"}}')
    await cluster.setup(extra_args=extra)
    at = await on_frontend(cluster, "dask-python -", ADDRESS)
    assert at.endswith(":8786")

    # Systemd does not bring back a worker that was sent away.
    await cluster.remove_node("compute001")
    said = await on_frontend(cluster, "dask-python -", DASK)
    assert said == "1240 frontend001"


@pytest.mark.soak  # 500 MB for each host, most of it Spark's jars
@pytest.mark.timeout(1800, func_only=True)
async def test_ray_and_spark_compute_on_two_hosts(
    make_cluster: MakeCluster, tmp_path: Path
) -> None:
    setup = setup_provider(
        tmp_path,
        {
            "frontend": ["ray_head", "spark_master", "spark_worker"],
            "compute": ["ray_worker", "spark_worker"],
        },
        variables={
            "ray_object_store_memory_mb": 128,
            "spark_worker_memory_mb": 1024,
            "spark_executor_memory_mb": 512,
        },
    )
    cluster = make_cluster(setup, frontend=1, compute=1)
    await cluster.start()
    await cluster.setup()
    both = "1240 compute001 frontend001"
    assert await on_frontend(cluster, "bin/ray-python -", RAY) == both
    assert await on_frontend(cluster, "bin/spark-python -", SPARK) == both
    # Nobody else could use them.
    shared = await cluster.run("ls /usr/local/bin")
    assert not any("-python" in result.stdout for result in shared.values()), shared

    report = await cluster.setup()
    assert report.changed == 0, report

    await cluster.remove_node("compute001")
    assert await on_frontend(cluster, "bin/ray-python -", RAY) == "1240 frontend001"
    assert await on_frontend(cluster, "bin/spark-python -", SPARK) == "1240 frontend001"
