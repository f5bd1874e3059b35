"""Instances with real SSH servers: reachable while they run, and only then."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any

import asyncssh
import pytest

from aioelasticluster.ssh.rotation import rotate
from tests.clouds.ec2.client import Api
from tests.clouds.ec2.running import running_ec2, why_no_hosts
from tests.clouds.endpoint import eventually

pytestmark = pytest.mark.skipif(bool(why_no_hosts()), reason=why_no_hosts())

KEY = asyncssh.generate_private_key("ssh-ed25519")
HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")
SHOWN = HOST_KEY.convert_to_public()


@pytest.fixture(scope="module")
def with_hosts() -> Iterator[Api]:
    with running_ec2(hosts=True) as endpoint:
        api = Api.of(endpoint)
        yield api
        api.ec2.close()


@pytest.fixture
def api(with_hosts: Api) -> Api:
    with_hosts.endpoint.reset()
    with_hosts.endpoint.behave(boot_seconds=0.05, stop_seconds=0.05)
    material = KEY.export_public_key()
    with_hosts.ec2.import_key_pair(KeyName="k", PublicKeyMaterial=material)
    return with_hosts


def launched(api: Api, count: int = 1) -> list[Any]:
    """Launch instances with our host key and wait for their SSH servers."""
    private = HOST_KEY.export_private_key().decode().splitlines()
    lines = "".join(f"    {line}\n" for line in private)
    config = f"#cloud-config\nssh_keys:\n  ed25519_private: |\n{lines}"
    found = api.launch(count, KeyName="k", UserData=config)
    for one in found:
        eventually(partial(listens, address(one)))
    return found


def address(instance: Any) -> str:
    return str(instance["PrivateIpAddress"])


def listens(host: str) -> bool:
    """Tell whether anybody accepts connections at an address."""
    try:
        with socket.create_connection((host, 22), timeout=5.0):
            return True
    except ConnectionRefusedError:
        return False


def connection(
    instance: Any, host_key: asyncssh.SSHKey = SHOWN, client: asyncssh.SSHKey = KEY
) -> Any:
    """Connect to an instance, its host key checked."""
    return asyncssh.connect(
        address(instance),
        username="debian",
        client_keys=[client],
        known_hosts=([host_key], [], []),
        config=None,
    )


async def test_a_host_is_reachable_while_its_instance_runs(api: Api) -> None:
    (one,) = launched(api)
    api.endpoint.behave(boot_seconds=3600.0)
    (pending,) = api.launch(KeyName="k")
    assert not listens(address(pending))
    api.endpoint.behave(boot_seconds=0.05)
    api.ec2.stop_instances(InstanceIds=[one["InstanceId"]])
    eventually(lambda: not listens(address(one)))
    api.becomes(one, "stopped")
    api.ec2.start_instances(InstanceIds=[one["InstanceId"]])
    eventually(lambda: listens(address(one)))
    api.ec2.terminate_instances(InstanceIds=[one["InstanceId"]])

    eventually(lambda: not listens(address(one)))


async def test_hosts_have_homes_of_their_own(api: Api) -> None:
    for number, one in enumerate(launched(api, 3)):
        async with connection(one) as ssh, ssh.start_sftp_client() as sftp:
            async with sftp.open("number", "x") as file:
                await file.write(str(number))
            found = await ssh.run("cat ~/number; pwd", check=True)
            assert found.stdout == f"{number}{await sftp.realpath('.')}\n"


async def test_a_stranger_and_a_wrong_host_key_are_refused(api: Api) -> None:
    (one,) = launched(api)
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    with pytest.raises(asyncssh.PermissionDenied):
        await connection(one, client=stranger)
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await connection(one, stranger.convert_to_public())


async def test_without_keys_a_host_is_there_but_lets_nobody_in(api: Api) -> None:
    config = "#cloud-config\nssh_keys: {ed25519_private: garbage}"
    (one,) = api.launch(UserData=config)
    eventually(lambda: listens(address(one)))
    shown = await asyncssh.get_server_host_key(address(one))
    assert shown
    with pytest.raises(asyncssh.PermissionDenied):
        await connection(one, shown)


async def test_a_host_key_is_replaced_over_the_connection_for_good(api: Api) -> None:
    one, other = launched(api, 2)

    async def accept(keys: tuple[str, ...]) -> None:
        assert len(keys) == 2

    async with connection(one) as ssh:
        reached = await rotate(ssh, ["injected"], accept)
    assert reached.unrotated == ""
    own = asyncssh.import_public_key(reached.host_keys[0])
    async with connection(one, own):
        pass
    async with connection(other):
        pass
    api.ec2.stop_instances(InstanceIds=[one["InstanceId"]])
    api.becomes(one, "stopped")
    api.ec2.start_instances(InstanceIds=[one["InstanceId"]])
    eventually(lambda: listens(address(one)))
    async with connection(one, own):
        pass


async def test_the_end_of_an_instance_ends_its_connections_and_processes(
    api: Api,
) -> None:
    (one,) = launched(api)
    async with connection(one) as ssh:
        process = await ssh.create_process("setsid sleep 1000 & echo $!; sleep 1000")
        pid = int(await process.stdout.readline())
        api.ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
        await ssh.wait_closed()

    eventually(lambda: not alive(pid))


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


async def test_the_console_shows_the_key_that_the_host_shows(api: Api) -> None:
    api.endpoint.behave(console_seconds=3600.0)
    (one,) = api.launch(KeyName="k")

    def console() -> str:
        answer = api.ec2.get_console_output(InstanceId=one["InstanceId"])
        return str(answer.get("Output", ""))

    api.becomes(one, "running")
    assert console() == ""
    api.endpoint.behave(console_seconds=0.0)
    shown = re.search(
        "-----BEGIN SSH HOST KEY KEYS-----\r\n(.*)\r\n-----END", console()
    )
    assert shown
    eventually(lambda: listens(address(one)))
    async with connection(one, asyncssh.import_public_key(shown[1])):
        pass


async def test_an_elastic_address_leads_to_the_host(api: Api) -> None:
    (one,) = launched(api)
    given = api.ec2.allocate_address()
    made = api.ec2.associate_address(
        AllocationId=given["AllocationId"], InstanceId=one["InstanceId"]
    )
    eventually(lambda: listens(given["PublicIp"]))
    api.ec2.disassociate_address(AssociationId=made["AssociationId"])
    eventually(lambda: not listens(given["PublicIp"]))

    assert listens(address(one))


async def test_a_reset_takes_all_hosts_down(api: Api) -> None:
    found = launched(api, 5)
    api.endpoint.reset()

    assert not any(listens(address(one)) for one in found)
    assert len(api.endpoint.cpu()["hosts"]) == 2
