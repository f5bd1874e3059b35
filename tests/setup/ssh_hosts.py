"""Real SSH hosts for tests: a process of its own serves several, by name.

Run as a script it reads a plan (JSON) from its first argument, prints one line of JSON
(the ports) when it listens, and serves until its standard input is closed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncssh

#: What a command on a host may see of the environment that the tests run in.
KEPT = ("PATH", "LANG", "LC_ALL", "AIOEC_TEST_RIG")


class Server(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True


def environment(name: str, host: Mapping[str, str]) -> dict[str, str]:
    """Return what a session finds; what it writes goes into folders of the host."""
    kept = {key: os.environ[key] for key in KEPT if key in os.environ}
    return {
        **kept,
        "HOME": host["home"],
        "TMPDIR": host["temporary"],
        "USER": "test",
        "SSH_CONNECTION": f"127.0.0.1 1 {host['address']} 22",
        "AIOEC_TEST_HOST": name,
    }


async def execute(
    process: asyncssh.SSHServerProcess[bytes], name: str, host: Mapping[str, str]
) -> None:
    """Run a command as sshd does: through the shell, in the home folder."""
    child = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        process.command or "exit 1",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=host["home"],
        env=environment(name, host),
    )
    assert child.stdin
    assert child.stdout
    assert child.stderr
    feeding = asyncio.create_task(feed(process.stdin, child.stdin))
    await asyncio.gather(
        pump(child.stdout, process.stdout), pump(child.stderr, process.stderr)
    )
    feeding.cancel()
    process.exit(await child.wait())


async def feed(source: asyncssh.SSHReader[bytes], sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        sink.close()
    except (OSError, asyncssh.Error):
        pass  # the command did not read all of it


async def pump(source: asyncio.StreamReader, sink: asyncssh.SSHWriter[bytes]) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    except (OSError, asyncssh.Error):
        pass  # the client has gone


async def serve(plan: dict[str, Any]) -> None:
    ports = {}
    for name, host in plan["hosts"].items():

        def handle(
            process: asyncssh.SSHServerProcess[bytes],
            name: str = name,
            host: Mapping[str, str] = host,
        ) -> Any:
            return execute(process, name, host)

        server = await asyncssh.listen(
            host["address"],
            0,
            server_factory=Server,
            server_host_keys=[host["key"]],
            authorized_client_keys=plan["authorized"],
            process_factory=handle,
            sftp_factory=True,
            gss_host=None,  # else asyncssh asks the network for this machine's name
            encoding=None,
        )
        ports[name] = server.get_port()
    print(json.dumps(ports), flush=True)  # noqa: T201 - this is how it tells the test
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(json.loads(Path(sys.argv[1]).read_text())))
