"""What an instance's SSH server does, asked by the real OpenSSH client."""

from __future__ import annotations

import asyncio
import hashlib
import os
import pwd
import secrets
from pathlib import Path

import anyio
import asyncssh

from tests.providers.local_cloud import LocalCloud, eventually, ssh_connection


async def test_any_login_name_runs_as_the_caller(cloud: LocalCloud) -> None:
    [instance] = await cloud.launch()
    for login in ("debian", "root", "nobody-of-that-name"):
        done = await cloud.ssh(instance, "id -un", options=["-l", login])
        assert done.stdout.decode().strip() == pwd.getpwuid(os.getuid()).pw_name


async def test_only_the_orders_key_is_let_in(cloud: LocalCloud) -> None:
    [instance] = await cloud.launch()
    assert (await cloud.ssh(instance, "true")).returncode == 0
    other = asyncssh.generate_private_key("ssh-ed25519")
    cloud.key.write_bytes(other.export_private_key())
    done = await cloud.ssh(instance, "true")
    assert done.returncode == 255
    assert b"Permission denied (publickey)" in done.stderr


async def test_output_errors_and_status_come_apart(cloud: LocalCloud) -> None:
    [instance] = await cloud.launch()
    done = await cloud.ssh(instance, "echo out; echo err >&2; exit 42")
    assert (done.returncode, done.stdout, done.stderr) == (42, b"out\n", b"err\n")


async def test_a_command_that_is_killed_is_no_success(cloud: LocalCloud) -> None:
    [instance] = await cloud.launch()
    async with ssh_connection(cloud, instance) as connection:
        done = await connection.run("kill -KILL $$")
    assert done.exit_signal is not None
    assert done.exit_signal[0] == "KILL"


async def test_bytes_go_through_unchanged_both_ways(cloud: LocalCloud) -> None:
    [instance] = await cloud.launch()
    data = secrets.token_bytes(12_000_000)
    done = await cloud.ssh(instance, "tee /dev/stderr", input=data)
    for stream in (done.stdout, done.stderr):
        assert hashlib.sha256(stream).digest() == hashlib.sha256(data).digest()


async def test_the_end_of_input_reaches_the_command(cloud: LocalCloud) -> None:
    [instance] = await cloud.launch()
    done = await cloud.ssh(instance, "wc -c; echo after", input=b"12345")
    assert done.stdout.split() == [b"5", b"after"]


async def test_a_command_that_reads_nothing_takes_no_harm_from_input(
    cloud: LocalCloud,
) -> None:
    [instance] = await cloud.launch()
    done = await cloud.ssh(instance, "exec <&-; sleep 0.2; echo ok", input=b"x" * 9**7)
    assert (done.returncode, done.stdout) == (0, b"ok\n")


async def test_input_waits_for_a_slow_reader_instead_of_filling_memory(
    cloud: LocalCloud,
) -> None:
    [instance] = await cloud.launch()
    server = int(await cloud.text(instance, "echo $AIOEC_SSHD_PID"))
    async with ssh_connection(cloud, instance) as connection:
        process = await connection.create_process("sleep 100", encoding=None)
        process.stdin.write(b"x" * 64_000_000)
        await anyio.sleep(0.3)
        status = await anyio.Path(f"/proc/{server}/status").read_text()
        process.terminate()
    used = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    assert int(used.split()[1]) < 64_000


async def test_signals_reach_the_command(cloud: LocalCloud) -> None:
    [instance] = await cloud.launch()
    script = "trap 'echo caught; exit 7' TERM; echo ready; while :; do sleep 0.05; done"
    async with ssh_connection(cloud, instance) as connection:
        process = await connection.create_process(script)
        assert await process.stdout.readline() == "ready\n"
        process.send_signal("TERM")
        done = await process.wait()
    assert (done.stdout, done.exit_status) == ("caught\n", 7)


async def test_an_interactive_shell_has_a_terminal_and_shows_the_node(
    cloud: LocalCloud,
) -> None:
    [instance] = await cloud.launch("compute007")
    done = await cloud.ssh(
        instance,
        options=["-tt"],
        input=b"tty; stty -echo; echo term=$TERM; exit 5\n",
        env={**os.environ, "TERM": "vt100"},
    )
    said = done.stdout.decode()
    assert "@compute007:~" in said
    assert "/dev/pts/" in said
    assert "term=vt100" in said
    assert done.returncode == 5


async def test_a_terminal_has_the_size_that_was_asked_for(cloud: LocalCloud) -> None:
    [instance] = await cloud.launch()
    async with ssh_connection(cloud, instance) as connection:
        process = await connection.create_process(
            "stty size; read line; stty size", term_type="xterm", term_size=(91, 33)
        )
        assert (await process.stdout.readline()).strip() == "33 91"
        process.change_terminal_size(44, 22)
        process.stdin.write("go on\n")
        rest = await process.stdout.read()
    assert "22 44" in rest


async def test_a_terminal_ends_with_its_shell_though_others_hold_it(
    cloud: LocalCloud,
) -> None:
    [instance] = await cloud.launch()
    done = await cloud.ssh(
        instance, "trap '' HUP; sleep 1000 & echo started", options=["-tt"]
    )
    assert b"started" in done.stdout


async def test_closing_a_terminal_hangs_its_processes_up(cloud: LocalCloud) -> None:
    [instance] = await cloud.launch()
    mark = cloud.folder / "hung-up"
    async with ssh_connection(cloud, instance) as connection:
        process = await connection.create_process(
            f"trap 'touch {mark}; exit' HUP; echo ready; while :; do sleep 0.05; done",
            term_type="xterm",
        )
        assert (await process.stdout.readline()).strip() == "ready"
    await eventually(mark.exists)


async def test_sftp_and_scp_carry_files_both_ways(cloud: LocalCloud) -> None:
    [instance] = await cloud.launch()
    options = cloud.ssh_options(instance)
    source, back = cloud.folder / "source", cloud.folder / "back"
    source.write_bytes(secrets.token_bytes(3_000_000))
    place = f"x@{instance.addresses[0]}"
    batch = f"put {source} sub.bin\nget sub.bin {back}\nrename sub.bin kept.bin\n"
    line = ["sftp", *options, "-b", "-", place]
    await anyio.run_process(line, input=batch.encode())
    assert back.read_bytes() == source.read_bytes()
    for mode in ("-s", "-O"):
        back.unlink()
        line = ["scp", mode, *options, f"{place}:kept.bin", str(back)]
        await anyio.run_process(line)
        assert back.read_bytes() == source.read_bytes()


async def test_many_sessions_share_one_connection(cloud: LocalCloud) -> None:
    [instance] = await cloud.launch()
    # A short path: the socket's is limited to about 100 bytes.
    control = f"/tmp/aioec-test-{secrets.token_hex(4)}"
    shared = [f"-oControlPath={control}", "-oControlMaster=auto"]
    master = [*shared, "-oControlPersist=60"]
    assert (await cloud.ssh(instance, "true", options=master)).returncode == 0
    codes: dict[int, tuple[int, bytes]] = {}

    async def session(number: int) -> None:
        command = f"cat; exit {number}"
        data = b"%d" % number * 100_000
        done = await cloud.ssh(instance, command, options=shared, input=data)
        codes[number] = (done.returncode, done.stdout)

    try:
        async with anyio.create_task_group() as group:
            for number in range(1, 21):
                group.start_soon(session, number)
    finally:
        await cloud.ssh(instance, options=[*shared, "-O", "exit"])
    expected = {number: (number, b"%d" % number * 100_000) for number in range(1, 21)}
    assert codes == expected


async def test_connections_are_forwarded_out_of_the_instance(
    cloud: LocalCloud,
) -> None:
    [instance] = await cloud.launch()
    async with greeting_server() as port:
        done = await cloud.ssh(instance, options=["-W", f"127.0.0.1:{port}"])
    assert done.stdout == b"hello\n"


async def test_connections_are_forwarded_into_the_caller(cloud: LocalCloud) -> None:
    [instance] = await cloud.launch()
    async with greeting_server() as port, ssh_connection(cloud, instance) as connection:
        listener = await connection.forward_remote_port(
            "localhost", 0, "127.0.0.1", port
        )
        reader = f"exec 3<>/dev/tcp/127.0.0.1/{listener.get_port()}; cat <&3"
        done = await connection.run(reader, check=True)
    assert done.stdout == "hello\n"


async def test_nothing_is_forwarded_from_the_network(cloud: LocalCloud) -> None:
    [instance] = await cloud.launch()
    options = ["-oExitOnForwardFailure=yes", "-R", "0.0.0.0:0:127.0.0.1:9"]
    done = await cloud.ssh(instance, "true", options=options)
    assert done.returncode == 255


class greeting_server:  # noqa: N801  used like a function
    """Listens on a loopback port and says hello to whoever connects."""

    async def __aenter__(self) -> int:
        async def greet(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            writer.write(b"hello\n")
            writer.close()

        self._server = await asyncio.start_server(greet, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        await self._server.wait_closed()


async def test_the_server_shows_the_injected_key_and_no_other(
    cloud: LocalCloud,
) -> None:
    [instance] = await cloud.launch()
    line = ["ssh-keyscan", "-t", "rsa,ecdsa,ed25519", "-p", str(instance.ssh_port)]
    done = await anyio.run_process([*line, instance.addresses[0]])
    keys = [text.split()[1:3] for text in done.stdout.decode().splitlines()]
    assert keys == [cloud.host_key.export_public_key().decode().split()[:2]]


async def test_each_instance_without_a_given_key_makes_its_own(
    cloud: LocalCloud,
) -> None:
    first, second = await cloud.launch("a1", "a2", user_data="#cloud-config\n{}\n")
    keys = set()
    for instance in (first, second):
        key = await asyncssh.get_server_host_key(
            instance.addresses[0], instance.ssh_port
        )
        assert key is not None
        keys.add(key.export_public_key())
    assert len(keys) == 2
    assert cloud.host_key.export_public_key() not in keys


async def test_a_new_host_key_is_shown_to_new_connections_only(
    cloud: LocalCloud,
) -> None:
    [instance] = await cloud.launch()
    rotate = (
        'set -e; ssh-keygen -q -t ed25519 -N "" -f "$AIOEC_HOST_KEY_FILE.new"; '
        'mv "$AIOEC_HOST_KEY_FILE.new" "$AIOEC_HOST_KEY_FILE"; '
        'mv "$AIOEC_HOST_KEY_FILE.new.pub" "$AIOEC_HOST_KEY_FILE.pub"; '
        'kill -HUP "$AIOEC_SSHD_PID"; cat "$AIOEC_HOST_KEY_FILE.pub"'
    )
    async with ssh_connection(cloud, instance) as connection:
        public = str((await connection.run(rotate, check=True)).stdout)
        with anyio.fail_after(5):
            while True:
                shown = await asyncssh.get_server_host_key(
                    instance.addresses[0], instance.ssh_port
                )
                assert shown is not None
                if shown.export_public_key().split()[1] == public.split()[1].encode():
                    break
        assert (await connection.run("echo still here")).stdout == "still here\n"


async def test_a_broken_new_host_key_is_not_taken(cloud: LocalCloud) -> None:
    [instance] = await cloud.launch()
    spoil = 'echo nonsense >"$AIOEC_HOST_KEY_FILE"; kill -HUP "$AIOEC_SSHD_PID"'
    await cloud.text(instance, spoil)
    assert await cloud.text(instance, "echo $$")  # the old key is checked here
    assert "host-key-kept" in cloud.provider.log_of(instance.id).read_text()


async def test_sessions_have_an_environment_of_their_own(
    cloud: LocalCloud, tmp_path: Path
) -> None:
    [instance] = await cloud.launch("compute001")
    lines = (await cloud.text(instance, "env")).splitlines()
    found = dict(line.partition("=")[::2] for line in lines)
    folder = tmp_path / "state" / "instances" / instance.id
    assert found["HOME"] == str(folder / "home")
    assert found["TMPDIR"] == str(folder / "tmp")
    assert found["AIOEC_INSTANCE"] == instance.id
    assert found["AIOEC_ADDRESS"] == instance.addresses[0]
    assert found["HOSTNAME"] == "compute001"
    assert found["AIOEC_HOST_KEY_FILE"].startswith(f"{folder}/")
    leaked = [name for name in found if name.startswith(("PYTHON", "VIRTUAL_ENV"))]
    assert not leaked


async def test_variables_of_the_client_do_not_leak_in(
    cloud: LocalCloud,
) -> None:
    [instance] = await cloud.launch()
    options = ["-oSendEnv=LANG LD_PRELOAD PYTHONPATH", "-oSetEnv=LANG=de_DE.UTF-8"]
    environment = {**os.environ, "PYTHONPATH": "/leak", "VIRTUAL_ENV": "/leak"}
    done = await cloud.ssh(instance, "env", options=options, env=environment)
    assert b"/leak" not in done.stdout
    assert b"LANG=de_DE.UTF-8" in done.stdout


async def test_the_interpreter_of_the_capabilities_is_the_one_on_the_path(
    cloud: LocalCloud,
) -> None:
    [instance] = await cloud.launch()
    python = cloud.provider.capabilities.python
    found = await cloud.text(instance, "readlink -f $(command -v python3)")
    assert found == python
    assert await cloud.text(instance, f"{python} -c 'import venv, sys; print(1)'")


async def test_the_home_of_the_login_is_the_instances(cloud: LocalCloud) -> None:
    [instance] = await cloud.launch()
    home = await cloud.text(instance, "echo $HOME")
    done = await cloud.ssh(
        instance, "/bin/sh -c 'echo ~root ~root/x ~nobody ~rooted'", options=["-lroot"]
    )
    found = done.stdout.decode().split()
    assert found[:2] == [home, f"{home}/x"]
    assert found[2:] != [home, home]
    assert found[3] == "~rooted"


async def test_an_unknown_command_says_so(cloud: LocalCloud) -> None:
    [instance] = await cloud.launch()
    done = await cloud.ssh(instance, "no-such-command-here")
    assert done.returncode == 127
    assert b"not found" in done.stderr
