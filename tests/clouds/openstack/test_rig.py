"""The cloud of the tests is what it says: the real services, watched from beside."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import asyncssh
import pytest
from keystoneauth1.exceptions import ConnectFailure
from openstack.exceptions import ForbiddenException

from tests.clouds.endpoint import eventually
from tests.clouds.openstack.proxy import FaultProxy
from tests.clouds.openstack.rig import OpenStackRig
from tests.clouds.openstack.sharing import MARKS
from tests.clouds.openstack.user import User, user

pytestmark = MARKS

KEY = asyncssh.generate_private_key("ssh-ed25519")
HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture
def demo(rig: OpenStackRig) -> Iterator[User]:
    with user(rig) as found:
        yield found


@pytest.fixture
def behind(rig: OpenStackRig, proxy: FaultProxy) -> Iterator[User]:
    """A user who sees nova through the proxy."""
    with user(rig, compute_endpoint_override=proxy.url) as found:
        yield found


def named(servers: list[dict[str, Any]]) -> list[str]:
    return sorted(one["name"] for one in servers)


def test_servers_of_one_request_are_numbered_and_found_by_tag_not_by_metadata(
    rig: OpenStackRig, demo: User
) -> None:
    demo.launch("batch", 3, tags=["token=t"], metadata={"cluster": "c"})
    demo.launch("other")
    assert named(demo.becomes("ACTIVE", tags="token=t")) == [
        *("batch-1", "batch-2", "batch-3")
    ]
    everything = named(demo.listed(metadata='{"cluster": "another"}'))
    assert everything == ["batch-1", "batch-2", "batch-3", "other"]

    seen = {one["name"]: one for one in rig.servers()}
    assert named(list(seen.values())) == everything
    assert seen["batch-2"]["tags"] == ["token=t"]
    assert seen["batch-2"]["metadata"] == {"cluster": "c"}
    assert seen["batch-2"]["project"] == "demo"
    assert seen["batch-2"]["addresses"][0].startswith(f"{rig.network}.")


def test_the_quota_holds_until_the_next_reset(rig: OpenStackRig, demo: User) -> None:
    rig.set_quota("demo", instances=2)
    with pytest.raises(ForbiddenException, match="Quota exceeded"):
        demo.launch("many", 3)
    assert rig.servers() == []
    rig.reset()
    demo.launch("many", 3)
    demo.becomes("ACTIVE")


def test_a_server_that_no_host_has_room_for_ends_in_error(
    rig: OpenStackRig, demo: User
) -> None:
    demo.launch("huge", flavor=rig.too_big)
    demo.becomes("ERROR")

    (huge,) = rig.servers("ERROR")
    assert "No valid host" in huge["fault"]
    assert huge["host"] is None


def test_requests_are_counted_exactly_and_inquiries_beside_them_not(
    rig: OpenStackRig, demo: User
) -> None:
    demo.listed()
    rig.forget_requests()
    demo.launch("one")
    demo.listed(tags="a=b")
    rig.servers()
    rig.resources()

    found = [(one["method"], one["path"], one["status"]) for one in rig.requests()]
    assert found == [
        ("POST", "/v2.1/servers", 202),
        ("GET", "/v2.1/servers/detail?tags=a%3Db", 200),
    ]
    assert len(rig.requests("nova", "GET")) == 1


def test_users_do_not_see_one_another(rig: OpenStackRig, demo: User) -> None:
    demo.launch("mine")
    with user(rig, "demo2") as other:
        other.launch("theirs")
        assert named(other.becomes("ACTIVE")) == ["theirs"]
    assert named(demo.becomes("ACTIVE")) == ["mine"]
    assert {one["name"]: one["project"] for one in rig.servers()} == {
        **{"mine": "demo", "theirs": "demo2"}
    }


def test_a_reset_leaves_nothing(rig: OpenStackRig, demo: User) -> None:
    demo.launch("one", 2)  # and they may still be under way
    demo.sdk.create_keypair("k", public_key=public_half())
    group = demo.sdk.network.create_security_group(name="g")
    outside = next(demo.sdk.network.networks(name=rig.public_network))
    network = demo.sdk.network.create_network(name="n")
    demo.sdk.network.create_port(network_id=network.id, security_groups=[group.id])
    demo.sdk.network.create_ip(floating_network_id=outside.id)
    demo.sdk.compute.post(
        "/os-server-groups",
        json={"server_group": {"name": "s", "policy": "soft-anti-affinity"}},
        microversion="2.90",
    )
    found = rig.resources()
    assert {kind: len(every) for kind, every in found.pop("demo").items()} == {
        **{"floating_ips": 1, "ports": 1, "networks": 1, "security_groups": 1},
        **{"keypairs": 1, "server_groups": 1},
    }
    assert found == {}
    rig.reset()

    assert rig.resources() == {}
    assert rig.servers() == []
    assert rig.requests() == []
    assert demo.listed() == []


def test_an_answer_is_cut_off_when_nova_has_done_its_work(
    rig: OpenStackRig, proxy: FaultProxy, behind: User
) -> None:
    proxy.cut("POST")
    with pytest.raises(ConnectFailure):
        behind.launch("lost", 2)
    assert named(behind.becomes("ACTIVE")) == ["lost-1", "lost-2"]
    proxy.cut("DELETE")
    gone, stays = behind.listed()
    with pytest.raises(ConnectFailure):
        behind.sdk.compute.delete_server(gone["id"])

    eventually(lambda: [one["id"] for one in behind.listed()] == [stays["id"]])
    assert [one["status"] for one in proxy.requests("POST")] == [0]
    assert [one["does"] for one in proxy.requests("DELETE")] == ["cut"]


def test_a_request_is_lost_or_refused_before_nova_hears_of_it(
    rig: OpenStackRig, proxy: FaultProxy, behind: User
) -> None:
    proxy.lose("POST")
    with pytest.raises(ConnectFailure):
        behind.launch("one")
    proxy.refuse(429, retry_after=1.5)
    proxy.refuse(503)
    for status in (429, 503):
        answer = behind.sdk.compute.get("/servers", raise_exc=False)
        assert answer.status_code == status
        assert answer.headers.get("Retry-After") == {429: "1.5"}.get(status)
    assert behind.sdk.compute.get("/servers").status_code == 200
    assert rig.servers() == []
    proxy.behave()
    assert proxy.requests() == []


def test_answers_are_late_and_new_servers_stay_out_of_lists_for_a_while(
    rig: OpenStackRig, proxy: FaultProxy, behind: User
) -> None:
    behind.launch("old")
    proxy.delay(0.5, "GET")
    began = time.monotonic()
    assert named(behind.listed()) == ["old"]
    assert time.monotonic() - began >= 0.5
    proxy.hide(3.0)
    assert named(behind.listed()) == ["old"]
    began = time.monotonic()
    behind.launch("new")
    assert named(behind.listed()) == ["old"]
    assert named(rig.servers()) == ["new", "old"]
    eventually(lambda: named(behind.listed()) == ["new", "old"])
    assert time.monotonic() - began >= 3.0


def public_half() -> str:
    return KEY.export_public_key().decode()


def launched_host(rig: OpenStackRig, demo: User) -> str:
    """Launch a server with our keys, and return its address."""
    if rig.no_hosts:
        pytest.skip(rig.no_hosts)
    demo.sdk.create_keypair("k", public_key=public_half())
    private = HOST_KEY.export_private_key().decode().splitlines()
    lines = "".join(f"    {line}\n" for line in private)
    config = f"#cloud-config\nssh_keys:\n  ed25519_private: |\n{lines}"
    demo.launch("host", key_name="k", user_data=config)
    demo.becomes("ACTIVE")
    (server,) = rig.servers()
    assert server["user_data"] == config.encode()
    (address,) = server["addresses"]
    return str(address)


async def arrived(address: str) -> str:
    """Log in with our key, the host's checked, and return where we are."""
    async with asyncssh.connect(
        address,
        username="debian",
        client_keys=[KEY],
        known_hosts=([HOST_KEY.convert_to_public()], [], []),
        config=None,
    ) as connection:
        done = await connection.run("echo $SSH_CONNECTION", check=True)
        return str(done.stdout).split()[2]


async def test_a_server_is_an_ssh_host_while_it_is_on(
    rig: OpenStackRig, demo: User
) -> None:
    address = launched_host(rig, demo)
    (server,) = demo.listed()
    assert await arrived(address) == address
    demo.sdk.compute.stop_server(server["id"])
    demo.becomes("SHUTOFF")
    with pytest.raises(ConnectionRefusedError):
        await arrived(address)
    demo.sdk.compute.start_server(server["id"])
    demo.becomes("ACTIVE")
    assert await arrived(address) == address
    rig.reset()
    with pytest.raises(ConnectionRefusedError):
        await arrived(address)


def test_the_console_shows_the_host_key(rig: OpenStackRig, demo: User) -> None:
    launched_host(rig, demo)
    (server,) = demo.listed()
    shown = demo.sdk.compute.get_server_console_output(server["id"])["output"]
    (line,) = (one for one in shown.splitlines() if one.startswith("ssh-ed25519 "))
    assert HOST_KEY.convert_to_public() == asyncssh.import_public_key(line)


async def test_a_floating_address_leads_to_its_host(
    rig: OpenStackRig, demo: User
) -> None:
    address = launched_host(rig, demo)
    network = demo.sdk.network
    (port,) = (one for one in network.ports() if one.device_owner.startswith("compute"))
    outside = next(network.networks(name=rig.public_network))
    floating = network.create_ip(floating_network_id=outside.id, port_id=port.id)
    shown = floating.floating_ip_address
    assert await arrived(shown) == shown
    network.update_ip(floating, port_id=None)
    with pytest.raises(ConnectionRefusedError):
        await arrived(shown)
    assert await arrived(address) == address
