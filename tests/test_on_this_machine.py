"""A cluster's whole life on this machine: real SSH servers, real SQLite, real ssh."""

from __future__ import annotations

import asyncio
import logging
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from aioelasticluster import (
    AnsibleSetupProvider,
    Cluster,
    ClusterNotFoundError,
    ClusterState,
    ConfigurationError,
    KeyPairError,
    LocalCloudProvider,
    NodeState,
    PickleRepository,
    SqliteRepository,
    StartTimeoutError,
    UnauthorizedError,
)
from aioelasticluster.providers.faults import FaultPlan
from aioelasticluster.repositories.base import AbstractClusterRepository
from tests.support import RecordingSetup

Make = Callable[..., Cluster]


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "id_ed25519"
    made = asyncssh.generate_private_key("ssh-ed25519")
    path.touch(mode=0o600)
    made.write_private_key(path)
    made.write_public_key(path.with_suffix(".pub"))
    return path


@pytest.fixture
def blocking_is_an_error() -> Iterator[None]:
    """Raise where library code makes a blocking call on the loop."""
    with blockbuster_ctx("aioelasticluster") as buster:
        _allow_what_costs_nothing(buster)
        yield


def _allow_what_costs_nothing(buster: BlockBuster) -> None:
    """Let through the kernel's own tables, and a pipe whose writer has ended."""
    client, process = "local/client.py", "_process.py"
    buster.functions["os.path.abspath"].can_block_in(client, "<listcomp>")
    buster.functions["io.BufferedReader.read"].can_block_in(client, "_spoken")
    for name in ("os.readlink", "os.stat", "io.TextIOWrapper.read"):
        buster.functions[name].can_block_in(process, {"_host", "_start_of", "_boot_id"})


class Machine:
    """Clusters on one state folder and one repository."""

    def __init__(self, tmp_path: Path, key: Path) -> None:
        self.state_dir = tmp_path / "cloud"
        self.key = key
        self.repository: AbstractClusterRepository = SqliteRepository(
            tmp_path / "clusters.sqlite"
        )
        self.setup = RecordingSetup()

    def cloud(self, faults: FaultPlan | None = None) -> LocalCloudProvider:
        return LocalCloudProvider(self.state_dir, faults=faults)

    def cluster(
        self, computes: int = 2, faults: FaultPlan | None = None, **kw: Any
    ) -> Cluster:
        cluster = Cluster(
            "demo",
            self.cloud(faults),
            self.setup,
            "key",
            str(self.key.with_suffix(".pub")),
            str(self.key),
            repository=self.repository,
            **kw,
        )
        cluster.add_node("frontend", "any", "debian", "small", "default")
        cluster.add_nodes("compute", computes, "any", "debian", "small", "default")
        return cluster

    async def instances(self) -> int:
        async with self.cloud() as cloud:
            return len(await cloud.find())


@asynccontextmanager
async def machine_in(tmp_path: Path, key: Path) -> AsyncIterator[Machine]:
    machine = Machine(tmp_path, key)
    try:
        yield machine
    finally:
        async with machine.cloud() as cloud:
            await cloud.terminate([instance.id for instance in await cloud.find()])


@pytest.fixture
async def machine(tmp_path: Path, key: Path) -> AsyncIterator[Machine]:
    async with machine_in(tmp_path, key) as machine:
        yield machine


async def test_a_whole_life_blocks_nothing(
    machine: Machine, blocking_is_an_error: None
) -> None:
    cluster = machine.cluster()
    report = await cluster.start(timeout=30)
    assert report.ok
    assert not report.unrotated
    results = await cluster.run("echo hello from $AIOEC_INSTANCE")
    assert {r.stdout for r in results.values()} == {
        f"hello from {node.instance_id}\n" for node in cluster.get_all_nodes()
    }
    await cluster.resize("compute", 3, timeout=30)
    await cluster.setup()
    await cluster.remove_node("compute001")
    assert await machine.instances() == 3
    await cluster.stop(timeout=30)
    assert await machine.instances() == 0


async def test_openssh_reaches_the_nodes_with_host_key_checking_on(
    machine: Machine, tmp_path: Path
) -> None:
    cluster = machine.cluster(computes=1)
    await cluster.start(timeout=30)
    config = tmp_path / "ssh_config"
    config.write_text(cluster.ssh_config(tmp_path / "known_hosts"))

    def ssh(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["ssh", "-F", str(config), "-o", "BatchMode=yes", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    answer = await asyncio.to_thread(ssh, "compute001", "echo $AIOEC_INSTANCE")
    instance = cluster.get_node_by_name("compute001").instance_id
    assert answer.stdout.strip() == instance, answer.stderr
    frontend, compute = cluster.get_all_nodes()[::-1]
    mixed = (tmp_path / "known_hosts").read_text().splitlines()
    swapped = [line.split(" ", 1)[0] for line in mixed]
    keys = [line.split(" ", 1)[1] for line in mixed]
    (tmp_path / "known_hosts").write_text(
        "".join(f"{a} {k}\n" for a, k in zip(swapped, reversed(keys), strict=True))
    )
    refused = await asyncio.to_thread(ssh, frontend.name, "true")
    assert refused.returncode == 255
    assert "host key" in refused.stderr.lower()
    assert compute.alive
    await cluster.stop(timeout=30)


@pytest.mark.parametrize("kind", [SqliteRepository, PickleRepository])
async def test_a_cluster_is_found_again_by_its_name(
    kind: type[SqliteRepository] | type[PickleRepository],
    machine: Machine,
    tmp_path: Path,
) -> None:
    machine.repository = kind(tmp_path / "again")
    await machine.cluster().start(timeout=30)
    reloaded = await kind(tmp_path / "again").get(
        "demo", cloud_provider=machine.cloud(), setup_provider=machine.setup
    )
    assert reloaded.state is ClusterState.ALIVE
    results = await reloaded.run("true", kind="compute")
    assert all(result.ok for result in results.values())
    assert len(await kind(tmp_path / "again").get_all()) == 1
    await reloaded.stop(timeout=30)
    assert await machine.instances() == 0
    with pytest.raises(ClusterNotFoundError):
        await kind(tmp_path / "again").get("demo")


async def test_a_reloaded_cluster_rebuilds_its_providers(machine: Machine) -> None:
    cluster = Cluster(
        "demo",
        machine.cloud(),
        AnsibleSetupProvider({"compute": "dask_scheduler"}),
        "key",
        str(machine.key.with_suffix(".pub")),
        str(machine.key),
        repository=machine.repository,
    )
    cluster.add_node("compute", "any", "debian", "small", "default")
    await machine.repository.save(cluster)
    reloaded = await machine.repository.get("demo")
    assert reloaded.cloud_provider.settings() == machine.cloud().settings()
    assert reloaded.setup_provider.settings() == cluster.setup_provider.settings()


async def test_a_paused_node_is_silent_and_a_resumed_one_answers(
    machine: Machine,
) -> None:
    cluster = machine.cluster(computes=1)
    await cluster.start(timeout=30)
    await cluster.pause(timeout=30)
    assert {node.state for node in cluster.get_all_nodes()} == {NodeState.PAUSED}
    report = await cluster.resume(timeout=30)
    assert len(report.alive) == 2
    assert all(result.ok for result in (await cluster.run("true")).values())
    await cluster.stop(timeout=30)


async def test_nodes_with_a_wrong_host_key_or_none_at_all_are_named(
    machine: Machine,
) -> None:
    faults = FaultPlan(
        wrong_host_key=frozenset({"compute001"}),
        dead=frozenset({"compute002"}),
        broken=frozenset({"compute003"}),
    )
    cluster = machine.cluster(computes=4, faults=faults)
    report = await cluster.start(timeout=4, min_nodes={"compute": 1})
    faulty = {fault.node: fault for fault in report.failed}
    assert set(faulty) == {"compute001", "compute002", "compute003"}
    assert "host key" in faulty["compute001"].message
    assert faulty["compute002"].step == "ssh"
    assert faulty["compute003"].step == "boot"
    assert await machine.instances() == 2
    await cluster.stop(timeout=30)


async def test_too_few_nodes_leave_nothing_running(machine: Machine) -> None:
    cluster = machine.cluster(faults=FaultPlan(dead=frozenset({"compute001"})))
    with pytest.raises(StartTimeoutError, match="compute001"):
        await cluster.start(timeout=2)
    assert await machine.instances() == 0


async def test_credentials_that_are_refused_end_start_within_a_second(
    machine: Machine,
) -> None:
    cluster = machine.cluster(faults=FaultPlan(refuse="unauthorized"))
    await machine.instances()
    begun = asyncio.get_running_loop().time()
    with pytest.raises(UnauthorizedError):
        await cluster.start(timeout=60)
    assert asyncio.get_running_loop().time() - begun < 5
    assert await machine.instances() == 0


async def test_the_log_shows_every_phase_and_no_secret(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="aioelasticluster")
    cluster = machine.cluster(computes=1)
    await cluster.start(timeout=30)
    await cluster.setup()
    await cluster.stop(timeout=30)
    for phase in ("launching", "alive", "setup", "ready", "stop", "terminated"):
        assert phase in caplog.text, phase
    assert "PRIVATE KEY" not in caplog.text


def test_the_log_is_silent_unless_somebody_listens() -> None:
    logger = logging.getLogger("aioelasticluster")
    assert logger.level == logging.NOTSET
    assert any(isinstance(h, logging.NullHandler) for h in logger.handlers)


def plan(machine: Machine, groups: dict[str, Any], **kw: Any) -> Cluster:
    return Cluster(
        "demo",
        machine.cloud(),
        AnsibleSetupProvider(groups, **kw),
        "key",
        str(machine.key.with_suffix(".pub")),
        str(machine.key),
        repository=machine.repository,
    )


@pytest.mark.parametrize(
    ("groups", "options", "complaint"),
    [
        ({"compute": "dask_scheduler"}, {"colour": "red"}, "colour"),
        ({"compute": "dusk_scheduler"}, {}, "dusk_scheduler.*dask_scheduler"),
        ({"frontend": "dask_scheduler"}, {}, "frontend|compute"),
    ],
)
async def test_a_wrong_plan_is_refused_before_anything_is_launched(
    machine: Machine, groups: dict[str, Any], options: dict[str, Any], complaint: str
) -> None:
    async def try_it() -> None:
        cluster = plan(machine, groups)
        cluster.add_node("compute", "any", "debian", "s", "default", **options)
        await cluster.start(timeout=5)

    with pytest.raises(ConfigurationError, match=f"(?s){complaint}"):
        await try_it()
    assert not machine.state_dir.exists()


async def test_a_playbook_that_does_not_exist_is_named_before_the_launch(
    machine: Machine,
) -> None:
    async def try_it() -> None:
        cluster = plan(machine, {"compute": "mine"}, playbook="/nonesuch/mine.yml")
        cluster.add_node("compute", "any", "debian", "s", "default")
        await cluster.start(timeout=5)

    with pytest.raises(ConfigurationError, match=r"/nonesuch/mine\.yml"):
        await try_it()
    assert not machine.state_dir.exists()


@pytest.mark.parametrize("half", ["ssh_key_pub", "ssh_key_priv"])
async def test_a_missing_half_of_the_key_pair_is_named(
    machine: Machine, tmp_path: Path, half: str
) -> None:
    missing = str(tmp_path / "nonesuch")
    cluster = Cluster(
        "demo",
        machine.cloud(),
        machine.setup,
        "key",
        missing if half == "ssh_key_pub" else str(machine.key.with_suffix(".pub")),
        missing if half == "ssh_key_priv" else str(machine.key),
    )
    cluster.add_node("compute", "any", "debian", "small", "default")
    with pytest.raises(KeyPairError, match=f"{half}.*nonesuch"):
        await cluster.start(timeout=5)
    assert not machine.state_dir.exists()


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda c: c.add_node("node1", "i", "u", "f", "s"), "kind"),
        (lambda c: c.add_node("compute", "i", "u", "f", "s", name="a b"), "name"),
        (lambda c: c.add_nodes("compute", -1, "i", "u", "f", "s"), "num"),
        (lambda c: c.add_node("c", "i", "u", "f", "s", image_userdata="x"), "userdata"),
    ],
)
def test_a_node_that_cannot_be_is_refused_when_it_is_planned(
    tmp_path: Path, key: Path, call: Callable[[Cluster], Any], field: str
) -> None:
    with pytest.raises(ConfigurationError, match=field):
        call(Machine(tmp_path, key).cluster())


def test_a_name_is_given_to_one_node_only(tmp_path: Path, key: Path) -> None:
    cluster = Machine(tmp_path, key).cluster()
    with pytest.raises(ConfigurationError, match=r"compute001.*Choose another"):
        cluster.add_node("compute", "i", "u", "f", "s", name="compute001")


@pytest.mark.parametrize(
    ("options", "field"),
    [({"host_keys": "trust me"}, "host_keys"), ({"host_keys": "ca"}, "host_ca")],
)
def test_a_host_key_policy_must_make_sense(
    tmp_path: Path, key: Path, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(ConfigurationError, match=field):
        Machine(tmp_path, key).cluster(**options)
