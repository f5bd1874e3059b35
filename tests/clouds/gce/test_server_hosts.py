"""Instances with real SSH servers: reachable while they run, and only then."""

from __future__ import annotations

import socket
from functools import partial
from typing import Any

import asyncssh
import pytest

from aioelasticluster.ssh.rotation import rotate
from tests.clouds.endpoint import eventually
from tests.clouds.gce.client import Api, metadata
from tests.clouds.gce.running import GceEndpoint, why_no_hosts

pytestmark = pytest.mark.skipif(bool(why_no_hosts()), reason=why_no_hosts())

KEYS = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(2)]
HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")
SHOWN = HOST_KEY.convert_to_public()
DEBIAN = "projects/debian-cloud/global/images/family/debian-12"


@pytest.fixture
def api(gce_hosts: GceEndpoint) -> Api:
    gce_hosts.behave(
        boot_seconds=0.05, stop_seconds=0.05, operation_seconds=0.02, guest_seconds=0.0
    )
    return Api.of(gce_hosts)


def injected() -> dict[str, Any]:
    """Return metadata with two users' keys and our host key."""
    private = HOST_KEY.export_private_key().decode().splitlines()
    lines = "".join(f"    {line}\n" for line in private)
    public = [key.export_public_key().decode().strip() for key in KEYS]
    return metadata(
        ssh_keys="".join(f"ubuntu:{key} someone@here\n" for key in public),
        user_data=f"#cloud-config\nssh_keys:\n  ed25519_private: |\n{lines}",
        enable_guest_attributes="TRUE",
    )


def launched(api: Api, name: str = "a", **more: Any) -> str:
    """Launch an instance, wait for its SSH server and return its address."""
    api.insert(name, **{"metadata": injected()} | more)
    found = address(api, name)
    eventually(partial(listens, found))
    return found


def address(api: Api, name: str) -> str:
    return str(api.get(name)["networkInterfaces"][0]["networkIP"])


def listens(host: str) -> bool:
    """Tell whether anybody accepts connections at an address."""
    try:
        with socket.create_connection((host, 22), timeout=5.0):
            return True
    except ConnectionRefusedError:
        return False


def connection(
    host: str, host_key: asyncssh.SSHKey = SHOWN, client: asyncssh.SSHKey = KEYS[0]
) -> Any:
    """Connect to an instance, its host key checked."""
    return asyncssh.connect(
        host,
        username="ubuntu",
        client_keys=[client],
        known_hosts=([host_key], [], []),
        config=None,
    )


async def test_a_host_is_reachable_while_its_instance_runs(api: Api) -> None:
    host = launched(api)
    for key in KEYS:
        async with connection(host, client=key) as ssh:
            assert (await ssh.run("echo hello", check=True)).stdout == "hello\n"
    api.done(api.act("a", "stop"))
    eventually(lambda: not listens(host))
    api.act("a", "start")
    eventually(lambda: listens(host))
    api.done(api.act("a", "suspend"))
    eventually(lambda: not listens(host))
    api.act("a", "resume")
    eventually(lambda: listens(host))
    api.delete("a")

    eventually(lambda: not listens(host))


async def test_a_stranger_and_a_wrong_host_key_are_refused(api: Api) -> None:
    host = launched(api)
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    with pytest.raises(asyncssh.PermissionDenied):
        await connection(host, client=stranger)
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await connection(host, stranger.convert_to_public())


async def test_the_guest_attributes_show_the_key_that_the_host_shows(api: Api) -> None:
    boot = {"boot": True, "autoDelete": True}
    disks = [boot | {"initializeParams": {"sourceImage": DEBIAN}}]
    host = launched(api, disks=disks)  # no cloud-init: it makes its own key
    path = f"{api.zone}/instances/a/getGuestAttributes"
    (item,) = api.ask("GET", path, queryPath="hostkeys/")["queryValue"]["items"]
    shown = asyncssh.import_public_key(f"{item['key']} {item['value']}")
    assert shown != SHOWN
    async with connection(host, shown):
        pass


async def test_a_host_key_is_replaced_over_the_connection_for_good(api: Api) -> None:
    host = launched(api)

    async def accept(keys: tuple[str, ...]) -> None:
        assert len(keys) == 2

    async with connection(host) as ssh:
        reached = await rotate(ssh, ["injected"], accept)
    assert reached.unrotated == ""
    own = asyncssh.import_public_key(reached.host_keys[0])
    api.done(api.act("a", "stop"))
    api.act("a", "start")
    eventually(lambda: listens(host))
    async with connection(host, own):
        pass


def test_a_preempted_instance_is_reachable_no_more(api: Api) -> None:
    host = launched(api, scheduling={"provisioningModel": "SPOT"})
    api.endpoint.behave(spot_loss=0.05)

    eventually(lambda: not listens(host))
    assert api.get("a")["status"] in ("STOPPING", "TERMINATED")


def test_a_reset_takes_all_hosts_down(api: Api) -> None:
    found = [launched(api, name) for name in "abc"]
    api.endpoint.reset()

    assert not any(listens(host) for host in found)
    assert len(api.endpoint.cpu()["hosts"]) == 2
