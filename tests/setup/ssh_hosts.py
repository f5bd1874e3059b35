"""Real SSH hosts for tests: a process of its own serves several, by name.

Run as a script it reads a plan (JSON) from its first argument, prints one line of JSON
(the ports) when it listens, and serves until its standard input is closed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import asyncssh

#: What a command on a host may see of the environment that the tests run in.
KEPT = ("PATH", "LANG", "LC_ALL", "AIOEC_TEST_RIG")


class Server(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True


def environment(name: str, home: Path, address: str) -> dict[str, str]:
    kept = {key: os.environ[key] for key in KEPT if key in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "USER": "test",
        "SSH_CONNECTION": f"127.0.0.1 1 {address} 22",
        "AIOEC_TEST_HOST": name,
    }


async def execute(
    process: asyncssh.SSHServerProcess[bytes], name: str, home: Path, address: str
) -> None:
    """Run a command as sshd does: through the shell, in the home folder."""
    child = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        process.command or "exit 1",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=home,
        env=environment(name, home, address),
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
        home = Path(host["home"])

        def handle(
            process: asyncssh.SSHServerProcess[bytes],
            name: str = name,
            home: Path = home,
            address: str = host["address"],
        ) -> Any:
            return execute(process, name, home, address)

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
