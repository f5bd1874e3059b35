"""Several services on one cluster: set up, used, grown by a node and shrunk again.

The tests follow one another on the same hosts, since these take a minute to set up.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from aioelasticluster import AnsibleSetupProvider, Cluster, MemRepository
from aioelasticluster.model.reports import SetupReport
from tests.hosts.clusters import NODE, new_key, provider_for
from tests.hosts.contents import contents, sweep
from tests.hosts.running import RunningEngine

pytestmark = [pytest.mark.containers, pytest.mark.timeout(400, func_only=True)]

#: By which Gluster is mounted; a machine that lacks it can run all but that.
FUSE = "/dev/fuse"
HAS_FUSE = Path(FUSE).exists()

GROUPS = {
    "frontend": ["gridengine_master", "hpc", "monitoring_server", "nfs-server"],
    "compute": ["gridengine_clients", "hpc", "ganglia_monitor", "nfs_client"],
}
if HAS_FUSE:
    GROUPS["frontend"].append("glusterfs_server")
    GROUPS["compute"].append("glusterfs_client")
VARIABLES = {
    "hpc_compilers": False,
    # Programs that speak NFS without their kernel.
    "hpc_packages": ["libnfs-utils"],
    "monitoring_interval": "5s",
    "NFS_EXPORTS": [{"path": "/srv/share", "clients": "*"}],
    "NFS_MOUNTS": [{"fs": "frontend001:/srv/share", "mountpoint": "/srv/share"}],
}
#: What asks Prometheus who is up, on a host without curl.
UP = """
import json, urllib.request
url = "http://localhost:9090/api/v1/query?query=up==1"
found = json.load(urllib.request.urlopen(url))["data"]["result"]
print(json.dumps(sorted(each["metric"]["instance"] for each in found)))
"""


class Services:
    """The cluster of these tests, and what its first set-up came to."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.first = asyncio.run(self._begin())

    async def _begin(self) -> SetupReport:
        await self.cluster.start(timeout=120)
        return await self.cluster.setup()

    async def on(self, name: str, command: str, stdin: str = "") -> str:
        """Return what a command prints on a node; it must succeed."""
        results = await self.cluster.run(command, nodes=[name], stdin=stdin, timeout=60)
        result = results[name]
        assert result.ok, result
        return result.stdout

    async def up(self, expected: list[str]) -> list[str]:
        """Return the hosts from which Prometheus has an answer.

        On a busy machine an answer may come too late now and then, so ask again.
        """
        found: list[str] = []
        for _ in range(20):
            found = json.loads(await self.on("frontend001", "python3 -", UP))
            if found == expected:
                break
            await asyncio.sleep(1)
        return found


@pytest.fixture(scope="module")
def services(
    docker: RunningEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Services]:
    cluster = planned(docker, tmp_path_factory.mktemp("services"))
    try:
        yield Services(cluster)
    finally:
        asyncio.run(cluster.stop())
    if left := contents(docker.url):
        sweep(docker.url)
        pytest.fail(f"the cluster left {left}")


def planned(engine: RunningEngine, folder: Path) -> Cluster:
    key = new_key(folder)
    setup = AnsibleSetupProvider(
        GROUPS,
        variables=VARIABLES,
        work_dir=folder / "work",
        cache_dir=folder / "cache",
    )
    cluster = Cluster(
        "services",
        provider_for(engine.url),
        setup,
        "tests",
        f"{key}.pub",
        str(key),
        repository=MemRepository(),
    )
    # A container's own files have no handles, by which a server knows them; those of
    # a volume have.
    server = {"volumes": "share:/srv", "capabilities": "DAC_READ_SEARCH"}
    cluster.add_node("frontend", **NODE, **server)
    devices = {"devices": FUSE} if HAS_FUSE else {}
    cluster.add_nodes("compute", 2, **NODE, **devices)
    return cluster


async def test_a_second_run_changes_nothing(services: Services) -> None:
    assert services.first.changed > 0
    again = await services.cluster.setup()
    assert (again.ok, again.changed) == (True, 0), again.output


async def test_a_grid_engine_job_ends_on_a_worker(services: Services) -> None:
    submit = "qsub -b y -sync y -j y -o /tmp/job.out hostname"
    said = await services.on("frontend001", submit)
    assert "exited with exit code 0" in said
    results = await services.cluster.run("cat /tmp/job.out", kind="compute")
    outputs = [result.stdout.strip() for result in results.values() if result.ok]
    assert outputs
    assert set(outputs) <= {"compute001", "compute002"}


async def test_mpirun_reaches_two_hosts_with_verified_host_keys(
    services: Services,
) -> None:
    run = "mpirun --host compute001:2,compute002:2 hostname"
    said = await services.on("frontend001", run)
    assert sorted(said.split()) == ["compute001"] * 2 + ["compute002"] * 2
    # One whose key nobody has told is refused.
    stranger = "ssh -o BatchMode=yes -o HostKeyAlias=stranger compute001 true"
    asked = await services.cluster.run(stranger, nodes=["frontend001"])
    assert "Host key verification failed" in asked["frontend001"].stderr


async def test_pdsh_and_clush_know_kinds_and_groups(services: Services) -> None:
    for command in ("pdsh -g compute hostname", "clush -g gridengine_worker hostname"):
        said = await services.on("frontend001", command)
        assert sorted(said.splitlines()) == [
            "compute001: compute001",
            "compute002: compute002",
        ]


async def test_prometheus_has_an_answer_from_every_host(services: Services) -> None:
    hosts = ["compute001", "compute002", "frontend001"]
    assert await services.up(hosts) == hosts


async def test_a_file_written_on_one_gluster_client_is_read_on_another(
    services: Services,
) -> None:
    if not HAS_FUSE:
        pytest.skip(f"this machine has no {FUSE}")
    await services.on("compute001", "echo proof | sudo tee /glusterfs/file")
    assert await services.on("compute002", "cat /glusterfs/file") == "proof\n"


async def test_nfs_serves_and_says_what_this_kernel_cannot(services: Services) -> None:
    await services.on("frontend001", "echo proof | sudo tee /srv/share/file")
    note = next(iter(services.first.hosts["compute001"].notes), "")
    if note:  # without NFS in the kernel a program of its own must do
        assert "frontend001:/srv/share not mounted: the kernel" in note
        read = "nfs-cat nfs://frontend001/srv/share/file"
    else:
        read = "cat /srv/share/file"
    assert await services.on("compute001", read) == "proof\n"


async def test_a_new_worker_joins_while_a_job_runs(services: Services) -> None:
    job = "qsub -b y -l hostname=compute001 -terse sleep 600"
    number = (await services.on("frontend001", job)).strip()
    started = "systemctl show --property MainPID prometheus gridengine-master"
    before = await services.on("frontend001", started)

    await services.cluster.resize("compute", 3, timeout=120)
    await services.cluster.setup(only="new")

    assert await services.on("frontend001", started) == before
    assert number in await services.on("frontend001", "qstat -s r -q '*@compute001'")
    hosts = ["compute001", "compute002", "compute003", "frontend001"]
    assert await services.up(hosts) == hosts
    there = "qsub -b y -l hostname=compute003 -sync y hostname"
    assert "exited with exit code 0" in await services.on("frontend001", there)
    everywhere = "mpirun --host compute001:1,compute003:1 hostname"
    said = await services.on("compute002", everywhere)
    assert sorted(said.split()) == ["compute001", "compute003"]
    await services.on("frontend001", f"qdel {number}")


async def test_a_worker_leaves_and_nobody_waits_for_it(services: Services) -> None:
    await services.cluster.remove_node("compute003")
    hosts = await services.on("frontend001", "qhost; qconf -sh; qconf -shgrp @allhosts")
    assert "compute002" in hosts
    assert "compute003" not in hosts
    assert "compute003" not in await services.on(
        "compute001", "cat /etc/hosts /etc/genders /etc/ssh/ssh_known_hosts"
    )
    targets = await services.on("frontend001", "cat /etc/prometheus/hosts.json")
    assert "compute002" in targets
    assert "compute003" not in targets
