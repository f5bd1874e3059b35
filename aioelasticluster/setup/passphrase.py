"""Answers OpenSSH's question for the passphrase of our key.

The passphrase is on no disk, no command line and in no environment: OpenSSH runs a
script that asks us for it over a socket in a private folder.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from shlex import quote

#: Sent by the script; a socket needs no more than this much of a prompt (bytes).
LONGEST_PROMPT = 4096

_SCRIPT = """\
#!/bin/sh
exec {python} -IS {client} "$1"
"""

_CLIENT = """\
import socket, sys

link = socket.socket(socket.AF_UNIX)
link.connect({address!r})
link.sendall(sys.argv[1].encode() + b"\\n")
answer = link.makefile().read()
print(answer)
sys.exit(not answer)
"""


def askpass_files(folder: Path, address: Path) -> Mapping[Path, str]:
    """Return the files that OpenSSH needs for asking; the first is to be run."""
    script, client = folder / "askpass", folder / "askpass.py"
    python = quote(sys.executable)
    return {
        script: _SCRIPT.format(python=python, client=quote(str(client))),
        client: _CLIENT.format(address=str(address)),
    }


def askpass_environment(folder: Path) -> dict[str, str]:
    """Return what makes OpenSSH ask the script instead of a terminal."""
    return {
        "SSH_ASKPASS": str(folder / "askpass"),
        "SSH_ASKPASS_REQUIRE": "force",
        "DISPLAY": "none:0",  # before OpenSSH 8.4 the script is run only with one
    }


@asynccontextmanager
async def answering(address: Path, key: str, passphrase: str) -> AsyncIterator[None]:
    """Answer at `address` for the block, to questions about this key only."""

    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        prompt = await reader.readline()
        if key.encode() in prompt:  # neither a host key's question nor another's key
            writer.write(passphrase.encode())
        writer.close()

    server = await asyncio.start_unix_server(answer, str(address), limit=LONGEST_PROMPT)
    try:
        yield
    finally:
        server.close()
