"""What users may wish of OpenStack: it is had, and goes with the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aioelasticluster import (
    Cluster,
    MemRepository,
    find_orphans,
    terminate_orphans,
)
from aioelasticluster.errors import ConfigurationError, InvalidRequestError
from tests.clouds.openstack.clusters import (
    NODE,
    alive,
    cluster_on,
    made,
    provider_for,
    quicken,
    unrecorded,
)
from tests.clouds.openstack.rig import OpenStackRig
from tests.clouds.openstack.sharing import MARKS
from tests.clouds.openstack.user import User, user

pytestmark = MARKS


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)


@pytest.fixture
def demo(rig: OpenStackRig) -> Iterator[User]:
    """Be the user, to look at the cloud beside the library."""
    with user(rig) as found:
        yield found


@pytest.fixture
def hosts(rig: OpenStackRig) -> None:
    """Need real SSH servers."""
    if rig.no_hosts:
        pytest.skip(rig.no_hosts)


async def ended(rig: OpenStackRig, cluster: Cluster) -> None:
    """Stop a cluster; nothing of ours stays."""
    await cluster.stop()
    assert alive(rig) == set()
    assert not {"keypairs", "server_groups", "floating_ips"} & set(made(rig))


def by_node(cluster: Cluster) -> dict[str, str]:
    """Return the address of each node that is tried first."""
    return {node.name: node.addresses[0] for node in cluster.get_all_nodes()}


# What nodes are


@pytest.mark.usefixtures("hosts")
async def test_a_node_is_what_was_asked_for_by_names_and_ids(
    rig: OpenStackRig, tmp_path: Path, demo: User
) -> None:
    storage = new_network(rig, demo, "storage")
    group = demo.sdk.network.create_security_group(name="lab")
    fixed = f"{rig.network}.64.77"
    cluster = cluster_on(
        provider_for(rig),
        tmp_path,
        1,
        hosts=True,
        image_id=demo.sdk.image.find_image(rig.image).id,
        flavor=demo.sdk.compute.find_flavor("m1.small").id,
        security_group=f"default, {group.id}",
        image_userdata="#cloud-config\nhostname: mine\n",
        network_ids=[storage, rig.private_network],
        fixed_ip=fixed,
        zones="nova",
        config_drive=True,
    )
    report = await cluster.start()
    (server,), (told,) = demo.listed(), rig.servers()

    assert not report.unrotated
    (node,) = cluster.get_all_nodes()
    assert (node.addresses[0], len(node.addresses)) == (fixed, 2)
    assert set(server["addresses"]) == {"storage", rig.private_network}
    assert server["flavor"]["original_name"] == "m1.small"
    assert server["config_drive"] == "True"
    assert server["OS-EXT-AZ:availability_zone"] == "nova"
    names = {one["name"] for one in server["security_groups"]}
    assert names == {"default", "lab"}
    assert b"hostname: mine" in told["user_data"]
    assert len(node.record.host_keys) == 1
    await ended(rig, cluster)
    assert made(rig) == {"networks": ["storage"], "security_groups": ["lab"]}


def new_network(rig: OpenStackRig, demo: User, name: str) -> str:
    """Make another network of the user's own; return its id."""
    network = demo.sdk.network.create_network(name=name)
    demo.sdk.network.create_subnet(
        network_id=network.id,
        ip_version=4,
        cidr=f"{rig.network}.64.0/20",
        enable_dhcp=False,
        gateway_ip=None,
    )
    return str(network.id)


async def test_of_several_networks_one_must_be_chosen(
    rig: OpenStackRig, tmp_path: Path, demo: User
) -> None:
    new_network(rig, demo, "storage")
    cluster = cluster_on(provider_for(rig), tmp_path, 1)
    with pytest.raises(InvalidRequestError, match=r"network_ids=''.*private, storage"):
        await cluster.start()
    assert set(made(rig)) == {"networks"}


async def test_a_cloud_without_volumes_says_so_before_anything_is_made(
    rig: OpenStackRig, tmp_path: Path
) -> None:
    cluster = cluster_on(provider_for(rig), tmp_path, 1, boot_disk_size=2)
    with pytest.raises(InvalidRequestError, match=r"boot_disk_size=2: .*leave it out"):
        await cluster.start()
    assert (rig.servers(), made(rig)) == ([], {})


# Floating addresses


@pytest.mark.usefixtures("hosts")
async def test_floating_addresses_come_first_and_are_kept_until_the_end(
    rig: OpenStackRig, tmp_path: Path
) -> None:
    provider = provider_for(rig, request_floating_ip=True)
    cluster = cluster_on(provider, tmp_path, 2, hosts=True)
    cluster.add_node("inner", **NODE, request_floating_ip=False)
    await cluster.start()
    outside = made(rig)["floating_ips"]
    given = by_node(cluster)
    assert given.pop("inner001") not in outside
    assert sorted(given.values()) == outside
    results = await cluster.run("echo $SSH_CONNECTION", kind="compute")
    reached = {name: one.stdout.split()[2] for name, one in results.items()}
    assert reached == given

    await cluster.remove_node("compute002")
    assert made(rig)["floating_ips"] == outside
    await cluster.resize("compute", 2)
    assert by_node(cluster)["compute002"] == given["compute002"]
    await ended(rig, cluster)


# Who may reach them, and where they are


async def test_a_group_is_made_with_its_rules_and_goes_with_the_cluster(
    rig: OpenStackRig, tmp_path: Path, demo: User
) -> None:
    networks = ["192.0.2.0/24", "2001:db8::/32"]
    wish: dict[str, Any] = {"security_group": "web", "ssh_from": networks}
    cluster = cluster_on(provider_for(rig), tmp_path, 1, **wish)
    await cluster.start()
    name = f"web-{cluster.id[:8]}"
    assert made(rig)["security_groups"] == [name]
    group = demo.sdk.network.find_security_group(name)
    rules = [one for one in group.security_group_rules if one["direction"] == "ingress"]
    ssh = [one for one in rules if one["protocol"] == "tcp"]
    assert sorted(one["remote_ip_prefix"] for one in ssh) == networks
    assert {one["port_range_min"] for one in ssh} == {22}
    inside = [one["ethertype"] for one in rules if one["remote_group_id"] == group.id]
    assert sorted(inside) == ["IPv4", "IPv6"]
    (server,) = demo.listed()
    assert [one["name"] for one in server["security_groups"]] == [name]
    await ended(rig, cluster)
    assert made(rig) == {}


@pytest.mark.soak
@pytest.mark.parametrize("policy", ["affinity", "anti-affinity"])
async def test_nodes_are_together_or_apart_as_asked_for(
    rig: OpenStackRig, tmp_path: Path, policy: str
) -> None:
    cluster = cluster_on(provider_for(rig, server_group=policy), tmp_path, 2)
    cluster.add_node("free", **NODE, server_group="none")
    await cluster.start()
    (group,) = rig.resources()["demo"]["server_groups"]
    nodes = {node.instance_id for node in cluster.nodes["compute"]}
    assert (group["policy"], set(group["members"])) == (policy, nodes)
    placed = {one["host"] for one in rig.servers() if one["id"] in nodes}
    assert len(placed) == (1 if policy == "affinity" else 2)
    await ended(rig, cluster)


@pytest.mark.usefixtures("hosts")
async def test_host_keys_are_read_from_the_console(
    rig: OpenStackRig, tmp_path: Path
) -> None:
    cluster = cluster_on(provider_for(rig), tmp_path, 1, hosts=True, host_keys="cloud")
    await cluster.start()
    (result,) = (await cluster.run("echo here")).values()
    assert result.stdout == "here\n"
    actions = [one["path"] for one in rig.requests("nova", "POST")]
    assert any(path.endswith("/action") for path in actions)
    await ended(rig, cluster)


# Pauses


async def test_shelved_nodes_take_no_room_and_come_back_as_they_were(
    rig: OpenStackRig, tmp_path: Path
) -> None:
    cluster = cluster_on(provider_for(rig, shelve=True), tmp_path, 1)
    await cluster.start()
    (before,) = cluster.get_all_nodes()
    address, keys = before.addresses[0], before.record.host_keys
    await cluster.pause()
    (server,) = rig.servers()
    assert server["status"] in ("SHELVED", "SHELVED_OFFLOADED")
    assert (await cluster.resume()).ok

    (after,) = cluster.get_all_nodes()
    assert (after.addresses[0], after.record.host_keys) == (address, keys)
    assert after.instance_id == server["id"]
    await ended(rig, cluster)


# Whose servers they are


async def test_a_cluster_that_moves_takes_its_servers_along(
    rig: OpenStackRig, tmp_path: Path
) -> None:
    here, there, provider = MemRepository(), MemRepository(), provider_for(rig)
    cluster = cluster_on(provider, tmp_path, 1, repository=here)
    await cluster.start()
    await there.save(cluster)

    tags = {one["metadata"]["aioec-repository"] for one in rig.servers()}
    assert tags == {await there.id()}
    assert await unrecorded(rig, there) == set()
    assert await find_orphans(provider, there) == []
    orphans = await find_orphans(provider, here)
    assert {one.foreign for one in orphans} == {True}
    with pytest.raises(ConfigurationError, match=cluster.id):
        await terminate_orphans(orphans)
    await ended(rig, cluster)


@pytest.mark.soak
async def test_orphans_are_found_by_their_tags_and_end_on_request(
    rig: OpenStackRig, tmp_path: Path
) -> None:
    repository, provider = MemRepository(), provider_for(rig)
    wish: dict[str, Any] = {"security_group": "web", "ssh_from": "192.0.2.0/24"}
    lost = cluster_on(provider, tmp_path, 1, name="lost", repository=repository, **wish)
    await lost.start()
    await repository.delete("lost")
    orphans = await find_orphans(provider, repository)
    nodes = {node.name: node.instance_id for node in lost.get_all_nodes()}
    assert {one.node: one.instance_id for one in orphans} == nodes
    assert {one.foreign for one in orphans} == {False}
    await terminate_orphans(orphans)
    assert (alive(rig), made(rig)) == (set(), {})
