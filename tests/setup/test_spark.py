"""The spark role on real hosts: a real master, real workers, a job on all of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from aioelasticluster.setup.ansible import AnsibleSetupProvider
from tests.setup.conftest import Rig

pytestmark = [
    pytest.mark.ansible,
    pytest.mark.soak,  # 430 MB of jars for each host
    pytest.mark.usefixtures("unblocked"),
    pytest.mark.timeout(900),
]

SPARK = {"frontend": ["spark_master", "spark_worker"], "compute": "spark_worker"}
#: The workers share this machine's processors and memory.
SMALL = {
    "spark_worker_cores": 1,
    "spark_worker_memory_mb": 512,
    "spark_executor_memory_mb": 512,
    "spark_driver_memory_mb": 512,
    "spark_daemon_memory_mb": 256,
}

#: Names the hosts whose executors have computed.
WHO_COMPUTES = """
import os, time
from pyspark.sql import SparkSession
spark = SparkSession.builder.config("spark.ui.enabled", "false").getOrCreate()

def square(n):
    time.sleep(0.2)
    return n * n, os.environ["SPARK_LOCAL_IP"]

for attempt in range(20):
    results = spark.sparkContext.parallelize(range(8), 8).map(square).collect()
    used = {address for _, address in results}
    if len(used) == int(os.environ["WANTED"]):
        break
print(sum(n for n, _ in results), *sorted(used))
spark.stop()
"""


class SparkRig:
    """Hosts with Spark, and what can be asked of them."""

    def __init__(self, rig: Rig, cache: Path) -> None:
        self.rig, self.cache = rig, cache

    def provider(self, **settings: Any) -> AnsibleSetupProvider:
        return self.rig.provider(
            groups=SPARK, cache_dir=self.cache, variables=SMALL, **settings
        )

    async def compute(self, host: str, wanted: int) -> str:
        """Run the job with the host's launcher, as a user would over SSH."""
        done = await anyio.run_process(
            [str(self.rig.home(host) / "bin" / "spark-python"), "-"],
            input=WHO_COMPUTES.encode(),
            env={"PATH": "/usr/bin:/bin", "WANTED": str(wanted)},
        )
        return done.stdout.decode().strip()


@pytest.mark.skipif(shutil.which("java") is None, reason="no Java on this machine")
async def test_spark_computes_on_all_hosts_and_decommissions_who_leaves(
    make_rig: Callable[..., Rig], wheels: Path
) -> None:
    rig = make_rig(["frontend001", "compute001"])
    spark, everyone = SparkRig(rig, wheels), rig.cluster
    first, second = (host.address for host in everyone.hosts)

    report = await spark.provider().setup(everyone)
    assert report.ok, report
    assert await spark.compute("frontend001", 2) == f"140 {first} {second}"

    report = await spark.provider().setup(everyone)
    assert report.ok, report
    assert report.changed == 0

    await spark.provider().before_removal(everyone, ["compute001"])
    assert await spark.compute("frontend001", 1) == f"140 {first}"
    assert await rig.left_behind() == []
