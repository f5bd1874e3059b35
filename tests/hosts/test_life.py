"""Whole lives of clusters in containers, over real SSH to real hosts."""

from __future__ import annotations

import json
import time
from pathlib import Path

import anyio
import pytest
from blockbuster import blockbuster_ctx

from aioelasticluster import ContainerCloudProvider, NodeState, StartTimeoutError
from aioelasticluster.providers.containers.resources import Preparing
from aioelasticluster.testing.cancelling import WAYS, cancelled
from tests.crash.program import say
from tests.hosts.clusters import cluster_on, provider_for
from tests.hosts.contents import ask, containers, contents
from tests.hosts.fixtures import MakeCluster, left_as_found
from tests.hosts.running import RunningEngine
from tests.hosts.sharing import MARKS

#: One way to cancel is for every commit.
MANY_WAYS = [
    WAYS[1],
    *(pytest.param(way, marks=pytest.mark.soak) for way in WAYS if way != WAYS[1]),
]

#: The first of two timeouts counts.
pytestmark = [pytest.mark.timeout(180, func_only=True), *MARKS]


@pytest.mark.parametrize(
    "engine", ["docker", pytest.param("podman", marks=pytest.mark.soak)], indirect=True
)
async def test_a_cluster_lives_from_start_to_stop(
    make_cluster: MakeCluster, engine: RunningEngine
) -> None:
    options = {"cpus": 1.5, "memory": 512, "volumes": ["home:/home"]}
    cluster = make_cluster(options=options, frontend=1, compute=1)
    await cluster.start()

    said = await cluster.run(
        "hostname; whoami; sudo -n whoami; getent hosts compute001"
    )
    for name, result in said.items():
        host, login, root, resolved = result.stdout.splitlines()
        assert (host, login, root) == (name, "debian", "root")
        address = cluster.get_node_by_name("compute001").addresses[0]
        assert resolved.split()[0] == address
    for one in containers(engine.url):
        limits = ask(engine.url, "GET", f"containers/{one['Id']}/json")["HostConfig"]
        assert limits["NanoCpus"] == 1_500_000_000
        assert limits["Memory"] == limits["MemorySwap"] == 512 * 1024 * 1024

    # The home is one for all, and later nodes have it, too.
    await cluster.run("echo here > ~/file", kind="frontend")
    await cluster.resize("compute", 2)
    (last,) = (await cluster.run("cat ~/file", nodes=["compute002"])).values()
    assert last.stdout == "here\n"

    await cluster.run("sudo touch /etc/kept")
    await cluster.pause()
    assert {one["State"] for one in containers(engine.url)} == {"exited"}
    await cluster.resume()
    results = await cluster.run("ls /etc/kept; ping -c 1 -W 5 frontend001 >/dev/null")
    assert all(result.ok for result in results.values()), results
    assert len(results) == 3

    await cluster.stop()
    assert not contents(engine.url)


async def test_user_data_are_applied_once(
    make_cluster: MakeCluster, container_cloud: ContainerCloudProvider, tmp_path: Path
) -> None:
    config = {
        "bootcmd": ["echo boot >> /root/said", ["touch", "/root/two words"]],
        "write_files": [
            {"path": "/etc/made", "content": "of text\n", "permissions": "0640"},
            {"path": "/etc/made", "content": "and more\n", "append": True},
        ],
        "runcmd": [
            "echo run >> /root/said",
            ["systemctl", "is-active", "ssh"],
            "false",
        ],
        "no_such_module": 1,
    }
    cluster = cluster_on(container_cloud, tmp_path)
    cluster.add_node(
        "frontend",
        "image",
        "somebody",
        "small",
        "default",
        image_userdata=f"#cloud-config\n{json.dumps(config)}",
    )
    async with cluster:
        await cluster.start()
        finished = "/var/lib/aioelasticluster/finished"
        await cluster.run(f"until [ -e {finished} ]; do sleep 0.1; done")
        await cluster.pause()
        await cluster.resume()
        look = (
            "sudo sh -c 'cat /root/said /etc/made; stat -c %a /root/two* /etc/made'; "
            "grep -ho 'module no_such.*' /var/log/aioelasticluster.log; id -un"
        )
        (said,) = (await cluster.run(look)).values()
    assert said.stdout.splitlines() == [
        "boot",
        "run",
        "of text",
        "and more",
        "644",
        "644",
        "module no_such_module ignored: not known here",
        "somebody",
    ]


async def test_host_keys_are_read_over_the_engine_s_own_channel(
    container_cloud: ContainerCloudProvider, tmp_path: Path
) -> None:
    cluster = cluster_on(container_cloud, tmp_path, host_keys="cloud", compute=1)
    async with cluster:
        await cluster.start()
        shown = await cluster.run("cat /etc/ssh/ssh_host_ed25519_key.pub")
        (node,) = cluster.get_all_nodes()
        (key,) = node.record.host_keys
        assert shown["compute001"].stdout.split()[:2] == key.split()[:2]


async def test_what_is_the_user_s_own_is_used_and_stays(
    docker: RunningEngine, tmp_path: Path
) -> None:
    url = docker.url
    ask(url, "POST", "networks/create", {"Name": "lab"})
    ask(url, "POST", "volumes/create", {"Name": "data"})
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "file").write_text("the user's\n")
    try:
        volumes = ["data:/data", f"{tmp_path / 'shared'}:/shared:ro", "mine:/mine"]
        cluster = cluster_on(
            provider_for(url, network="lab"),
            tmp_path,
            options={"volumes": volumes},
            compute=1,
        )
        async with cluster:
            await cluster.start()
            script = "cat /shared/file; sudo touch /shared/no /data/yes"
            (said,) = (await cluster.run(script)).values()
            assert said.stdout == "the user's\n"
            assert "Read-only" in said.stderr
            found = contents(url)
            assert found.networks == {"lab"}
            assert found.volumes == {"data", f"mine-{cluster.id[:8]}"}
        found = contents(url)
        assert not found.containers
        assert found.networks == {"lab"}
        assert found.volumes == {"data"}
    finally:
        ask(url, "DELETE", "networks/lab")
        ask(url, "DELETE", "volumes/data")
    for _ in left_as_found(docker):
        pass


async def test_where_containers_are_out_of_reach_a_port_of_this_machine_leads_there(
    make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with rootless engines, whose networks this machine has no way to."""

    async def yes(self: Preparing) -> bool:
        return True

    monkeypatch.setattr(Preparing, "_out_of_reach", yes)
    cluster = make_cluster(compute=1)
    # The tests' engine is on another machine, so to speak, where the port is open.
    with pytest.raises(StartTimeoutError, match=r"127\.0\.0\.1 port [0-9]{5}"):
        await cluster.start(timeout=2)


async def test_the_loop_is_never_blocked(
    make_cluster: MakeCluster, engine: RunningEngine
) -> None:
    cluster = make_cluster(compute=2, options={"volumes": ["home:/home"]})
    with blockbuster_ctx("aioelasticluster.providers.containers"):
        await cluster.start()
        await cluster.pause()
        await cluster.resume()
        await cluster.stop()


@pytest.mark.parametrize("way", MANY_WAYS)
async def test_a_cancelled_start_leaves_nothing(
    make_cluster: MakeCluster, engine: RunningEngine, way: str
) -> None:
    cluster = make_cluster(compute=3, options={"volumes": ["home:/home"]})
    await cancelled(way, cluster.start(), after=0.4)
    assert not contents(engine.url).containers
    await cluster.stop()
    assert not contents(engine.url)


@pytest.mark.soak
@pytest.mark.timeout(400, func_only=True)
@pytest.mark.parametrize("engine", ["docker", "podman"], indirect=True)
async def test_thirty_nodes_are_alive_within_45_seconds(
    make_cluster: MakeCluster, engine: RunningEngine
) -> None:
    """On two cores that have nothing else to do."""
    cluster = make_cluster(compute=30)
    began = time.monotonic()
    with anyio.fail_after(300):
        await cluster.start()
    took = time.monotonic() - began
    assert [n.state for n in cluster.get_all_nodes()] == [NodeState.ALIVE] * 30
    began = time.monotonic()
    await cluster.stop()
    ended = time.monotonic() - began
    say(f"{engine.kind}: 30 nodes alive after {took:.1f} s, gone in {ended:.1f} s")
    assert not contents(engine.url)
    assert took <= 45
