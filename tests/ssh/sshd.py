"""SSH servers for tests, as honest as sshd: run as a program, on loopback only.

Each listener has its own key file. A session is a real `sh` which survives its
connection; SIGHUP reads all key files again.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import asyncssh


class Server(asyncssh.SSHServer):
    def __init__(self, connections: set[asyncssh.SSHServerConnection]) -> None:
        self._connections = connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connections.add(conn)
        self._conn = conn

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self._conn)

    def connection_requested(self, *_: object) -> bool:
        return True


class Sessions:
    """Runs commands in real shells, and knows which are still running."""

    def __init__(self, environment: dict[str, str], user: int | None) -> None:
        self._environment, self._user = environment, user
        self.running: set[int] = set()

    async def serve(
        self, process: asyncssh.SSHServerProcess[bytes], key_file: str
    ) -> None:
        client = process.get_extra_info("peername")
        server = process.get_extra_info("sockname")
        shell = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", process.command or ":"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            user=self._user,
            env={
                **os.environ,
                "AIOEC_HOST_KEY_FILE": key_file,
                "AIOEC_SSHD_PID": str(os.getpid()),
                "SSH_CONNECTION": " ".join(map(str, (*client[:2], *server[:2]))),
                **self._environment,
            },
        )
        self.running.add(shell.pid)
        assert shell.stdin
        assert shell.stdout
        assert shell.stderr
        feeding = asyncio.create_task(feed(process.stdin, shell.stdin))
        try:
            await asyncio.gather(
                pump(shell.stdout, process.stdout), pump(shell.stderr, process.stderr)
            )
            status = await shell.wait()
            if status < 0:
                process.exit_with_signal(signal.Signals(-status).name[3:])
            else:
                process.exit(status)
        finally:
            feeding.cancel()
            self.running.discard(shell.pid)


async def pump(source: asyncio.StreamReader, sink: asyncssh.SSHWriter[bytes]) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    except OSError:
        pass  # the client has gone; the command goes on, as under sshd


async def feed(source: asyncssh.SSHReader[bytes], sink: asyncio.StreamWriter) -> None:
    """Pass input on; where it ends, also by the connection's end, close the pipe."""
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    except (asyncssh.Error, OSError):
        pass
    finally:
        sink.close()


async def main(plan: dict[str, Any]) -> None:
    connections: set[asyncssh.SSHServerConnection] = set()
    sessions = Sessions(plan.get("environment", {}), plan.get("user"))
    acceptors: dict[str, asyncssh.SSHAcceptor] = {}
    ended = asyncio.Event()

    for key_file in plan["key_files"]:

        async def serve(
            process: asyncssh.SSHServerProcess[bytes], key_file: str = key_file
        ) -> None:
            await sessions.serve(process, key_file)

        acceptors[key_file] = await asyncssh.listen(
            "127.0.0.1",
            0,
            backlog=200,
            server_factory=lambda: Server(connections),
            server_host_keys=[key_file],
            authorized_client_keys=plan["authorized_keys"],
            process_factory=serve,
            gss_host=None,  # else asyncssh asks the network for this machine's name
            encoding=None,
        )

    def reload() -> None:
        for key_file, acceptor in acceptors.items():
            acceptor.update(server_host_keys=[asyncssh.read_private_key(key_file)])
        if plan.get("drop_on_reload"):
            for connection in list(connections):
                connection.abort()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, reload)
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    ports = [acceptor.get_port() for acceptor in acceptors.values()]
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    await ended.wait()
    for pid in sessions.running:
        os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
