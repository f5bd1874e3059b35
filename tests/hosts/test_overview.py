"""The first program of ElastiCluster's overview, as its users know it.

Changed are the import, the provider, and an `await` before what takes time.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hosts.clusters import new_key
from tests.hosts.images import TAG
from tests.hosts.running import RunningEngine
from tests.hosts.sharing import MARKS

pytestmark = [pytest.mark.timeout(180, func_only=True), *MARKS, pytest.mark.ansible]


async def test_it_starts_a_cluster_with_slurm_and_stops_it(
    engine: RunningEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.url)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ssh_key_priv = str(new_key(tmp_path))
    ssh_key_pub = f"{ssh_key_priv}.pub"

    import aioelasticluster as elasticluster

    cloud_provider = elasticluster.ContainerCloudProvider(TAG)
    setup_provider = elasticluster.AnsibleSetupProvider(
        {"frontend": ["slurm_master"], "compute": ["slurm_worker"]}
    )
    cluster = elasticluster.Cluster(
        "my-cluster",
        cloud_provider,
        setup_provider,
        "ssh_key_name",
        ssh_key_pub,
        ssh_key_priv,
    )
    cluster.add_node("frontend", "ami-00000048", "debian", "m1.tiny", "all_tcp_ports")
    cluster.add_nodes(
        "compute", 2, "ami-00000048", "debian", "m1.tiny", "all_tcp_ports"
    )
    await cluster.start()
    await cluster.setup()

    ran = await cluster.run("timeout 30 srun -N2 hostname", kind="frontend")
    await cluster.stop()
    assert sorted(ran["frontend001"].stdout.split()) == ["compute001", "compute002"]
