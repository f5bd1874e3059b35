"""How instances of the local cloud live and end, with all that runs in them."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import sys

import anyio
import pytest

from aioelasticluster.providers.base import InstanceState
from tests.providers.local_cloud import (
    LocalCloud,
    eventually,
    process_state,
    processes_of,
    runs,
    ssh_connection,
)

S = InstanceState

#: Leaves a session, drops its environment, and writes down its pid.
DAEMON = (
    "setsid nohup {prefix} sh -c 'echo $$ >{file}; exec sleep 1000' >/dev/null 2>&1 &"
)


async def test_each_instance_has_an_address_of_its_own(cloud: LocalCloud) -> None:
    instances = await cloud.launch("a1", "a2", "a3")
    if sys.platform == "linux":
        assert len({instance.addresses for instance in instances}) == 3
    for instance in instances:
        assert instance.addresses[0].startswith("127.")


async def test_the_log_says_when_the_ssh_server_was_up(cloud: LocalCloud) -> None:
    before = anyio.current_time()
    [instance] = await cloud.launch("compute001")
    lines = cloud.provider.log_of(instance.id).read_text().splitlines()
    events = {entry["event"]: entry for entry in map(json.loads, lines)}
    assert events["ssh-up"]["node"] == "compute001"
    assert events["ssh-up"]["port"] == instance.ssh_port
    took = events["ssh-up"]["at"] - events["boot"]["at"]
    assert 0 < took < anyio.current_time() - before


async def test_the_state_is_for_the_user_alone(cloud: LocalCloud) -> None:
    [instance] = await cloud.launch()
    folder = cloud.state / "instances" / instance.id
    for path in (cloud.state, cloud.state / "instances", folder, folder / "home"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    key = folder / "ssh" / "host_ed25519_key"
    for path in (cloud.state / "parent.json", folder / "instance.json", key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("prefix", ["", "env -i"], ids=["marked", "without a mark"])
async def test_a_daemon_outlives_its_session_but_not_its_instance(
    cloud: LocalCloud, prefix: str
) -> None:
    [instance] = await cloud.launch()
    file = cloud.folder / "daemon.pid"
    await cloud.text(instance, DAEMON.format(prefix=prefix, file=file))
    await eventually(lambda: file.exists() and file.read_text())
    daemon = int(file.read_text())
    assert await cloud.text(instance, f"kill -0 {daemon} && echo alive") == "alive"
    await cloud.provider.terminate([instance.id])
    await cloud.gone(instance.id)
    assert not runs(daemon)
    assert not (cloud.state / "instances" / instance.id).exists()


async def test_ending_one_instance_leaves_the_others_alone(cloud: LocalCloud) -> None:
    first, second = await cloud.launch("a1", "a2")
    async with ssh_connection(cloud, second) as connection:
        process = await connection.create_process("cat")
        await cloud.provider.terminate([first.id])
        await cloud.gone(first.id)
        process.stdin.write("still here\n")
        assert await process.stdout.readline() == "still here\n"


async def test_files_that_cannot_be_removed_at_first_are_removed(
    cloud: LocalCloud,
) -> None:
    [instance] = await cloud.launch()
    await cloud.text(instance, "mkdir -p a/b && touch a/b/c && chmod 500 a/b a")
    await cloud.provider.terminate([instance.id])
    await cloud.gone(instance.id)
    assert not (cloud.state / "instances" / instance.id).exists()


async def test_what_links_out_of_the_home_keep_is_not_removed(
    cloud: LocalCloud,
) -> None:
    [instance] = await cloud.launch()
    treasure = cloud.folder / "treasure"
    treasure.mkdir()
    (treasure / "gold").touch()
    await cloud.text(instance, f"ln -s {treasure} link")
    await cloud.provider.terminate([instance.id])
    await cloud.gone(instance.id)
    assert (treasure / "gold").exists()


async def test_a_paused_instance_stands_still_with_all_its_processes(
    cloud: LocalCloud,
) -> None:
    [instance] = await cloud.launch()
    file = cloud.folder / "daemon.pid"
    await cloud.text(instance, DAEMON.format(prefix="", file=file))
    await eventually(lambda: file.exists() and file.read_text())
    daemon = int(file.read_text())
    await cloud.provider.pause([instance.id])
    assert [found.state for found in await cloud.described(instance.id)] == [S.PAUSED]
    server = int((cloud.state / "instances" / instance.id / "server.pid").read_text())
    for pid in (daemon, server):
        assert process_state(pid) == "T"
    with anyio.move_on_after(0.3) as scope:
        await cloud.ssh(instance, "true")
    assert scope.cancelled_caught
    await cloud.provider.resume([instance.id])
    assert [found.state for found in await cloud.described(instance.id)] == [S.RUNNING]
    assert await cloud.text(instance, "echo again") == "again"
    assert process_state(daemon) == "S"


async def test_a_session_goes_on_after_a_pause(cloud: LocalCloud) -> None:
    [instance] = await cloud.launch()
    async with ssh_connection(cloud, instance) as connection:
        process = await connection.create_process("read x; echo got $x; exit 3")
        await cloud.provider.pause([instance.id])
        await cloud.provider.resume([instance.id])
        process.stdin.write("this\n")
        done = await process.wait()
    assert (done.stdout, done.exit_status) == ("got this\n", 3)


async def test_a_job_of_a_shell_is_not_suspended_by_a_pause(cloud: LocalCloud) -> None:
    [instance] = await cloud.launch()
    async with ssh_connection(cloud, instance) as connection:
        process = await connection.create_process(term_type="xterm")
        process.stdin.write("sh -c 'echo be''gun; sleep 0.5'; echo st''atus=$?\n")
        await process.stdout.readuntil("begun")
        await cloud.provider.pause([instance.id])
        await cloud.provider.resume([instance.id])
        said = await process.stdout.readuntil(re.compile(r"status=\d+"))
        process.stdin.write("exit\n")
        await process.wait()
    assert "status=0" in said


async def test_pausing_passes_over_what_is_not_there(cloud: LocalCloud) -> None:
    [instance] = await cloud.launch()
    await cloud.provider.pause(["i-unknown", instance.id])
    assert [found.state for found in await cloud.described(instance.id)] == [S.PAUSED]
    await cloud.provider.resume(["i-unknown", instance.id])
    assert [found.state for found in await cloud.described(instance.id)] == [S.RUNNING]


async def test_an_instance_that_is_killed_from_outside_has_failed(
    cloud: LocalCloud,
) -> None:
    [instance] = await cloud.launch()
    file = cloud.folder / "daemon.pid"
    await cloud.text(instance, DAEMON.format(prefix="", file=file))
    await eventually(lambda: file.exists() and file.read_text())
    folder = cloud.state / "instances" / instance.id
    os.kill(int((folder / "server.pid").read_text()), signal.SIGKILL)
    with anyio.fail_after(10):
        [found] = await cloud.described(instance.id)
        while found.state is S.RUNNING:  # until the parent has seen it
            await anyio.sleep(0.01)
            [found] = await cloud.described(instance.id)
    assert found.state is S.FAILED
    assert "server process has ended" in str(found.fault)
    await cloud.provider.terminate([instance.id])
    await cloud.gone(instance.id)
    assert not runs(int(file.read_text()))
    assert not folder.exists()


async def test_nothing_is_left_when_the_last_instance_has_ended(
    cloud: LocalCloud,
) -> None:
    instances = await cloud.launch("a1", "a2")
    assert len(processes_of(cloud.state)) == 3
    await cloud.provider.terminate([instance.id for instance in instances])
    await cloud.gone(*[instance.id for instance in instances])
    await cloud.provider.cleanup(cloud.cluster_id)
    await eventually(lambda: not processes_of(cloud.state))
    assert not list(cloud.state.iterdir())
