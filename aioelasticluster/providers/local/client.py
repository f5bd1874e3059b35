"""The client's end of the line to a local cloud's parent process, started on demand."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio

from aioelasticluster._aio.blocking import Blocking
from aioelasticluster._aio.processes import run_process
from aioelasticluster.errors import (
    CapacityError,
    InvalidRequestError,
    ProviderError,
    QuotaError,
    TransientError,
    UnauthorizedError,
    UnknownOutcomeError,
)
from aioelasticluster.providers.local import wire
from aioelasticluster.providers.local.environment import base_interpreter
from aioelasticluster.providers.local.layout import StateFolder

#: How often a parent that leaves while we call is called again, and the first pause.
_ATTEMPTS, _PAUSE = 8, 0.02

#: How long (seconds) a parent may take for one answer; it forks a hundred in a few.
PATIENCE = 60.0

#: What the parent's word for a fault means to our callers.
ERRORS: Mapping[str, type[ProviderError]] = {
    "broken": TransientError,
    "capacity": CapacityError,
    "invalid": InvalidRequestError,
    "quota": QuotaError,
    "transient": TransientError,
    "unauthorized": UnauthorizedError,
}


#: File work apart from the loop; the files are small.
on_disk = Blocking(width=4, patience=30.0)


class LineLostError(Exception):
    """The parent went away; `sent` tells whether the request may have reached it."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class ParentLine(asyncio.Protocol):
    """One proven connection; answers find their requests by number."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._nonce = secrets.token_hex(16)
        self._received = bytearray()
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._number = 0
        self._transport: asyncio.Transport | None = None
        self._proven = asyncio.get_running_loop().create_future()

    # -- for the client

    async def prove(self) -> None:
        """Exchange proofs; raise `LineLostError` if the other side has none."""
        self._send({"nonce": self._nonce})
        await self._proven

    @property
    def open(self) -> bool:
        """Whether requests can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def request(self, verb: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send one request and return its result; raise what the parent answers."""
        self._number += 1
        number = self._number
        answer = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._send({"id": number, "verb": verb, **body})
            async with asyncio.timeout(PATIENCE):
                message = await answer
        except TimeoutError as fault:
            raise UnknownOutcomeError(
                f"the local cloud has not answered within {PATIENCE:.0f} s"
            ) from fault
        finally:
            del self._waiting[number]
        if (error := message.get("error")) is not None:
            raise ERRORS.get(error["kind"], ProviderError)(error["message"])
        result: dict[str, Any] = message["result"]
        return result

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    def _send(self, message: dict[str, Any]) -> None:
        if self._transport is None:
            raise LineLostError("the parent has hung up", sent=False)
        self._transport.write(wire.encode(message))

    # -- for the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to use a transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hand each whole line to whoever waits for it."""
        self._received += data
        *lines, rest = self._received.split(b"\n")
        self._received = rest
        for line in lines:
            try:
                self._take(wire.decode(bytes(line)))
            except ValueError as fault:
                self._lose(f"the parent speaks another language: {fault}")

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all who wait that no answer will come."""
        self._lose(f"the parent has hung up: {exc}" if exc else "the parent hung up")

    def _take(self, message: Mapping[str, Any]) -> None:
        if self._proven.done():
            answer = self._waiting.get(message.get("id", 0))
            if answer is not None and not answer.done():
                answer.set_result(dict(message))
        elif wire.proves(message.get("proof"), self._secret, wire.PARENT, self._nonce):
            nonce = str(message.get("nonce"))
            self._send({"proof": wire.proof(self._secret, wire.CLIENT, nonce)})
            self._proven.set_result(None)
        else:
            self._lose("this is not the parent: it does not know the secret")

    def _lose(self, message: str) -> None:
        self.close()
        self._transport = None
        for waiting in (self._proven, *self._waiting.values()):
            if not waiting.done():
                waiting.set_exception(LineLostError(message, sent=True))
        if self._proven.done() and not self._proven.cancelled():
            self._proven.exception()  # nobody need wait for it any more


class ParentClient:
    """Calls the parent of a state folder; starts one where it is needed."""

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder
        self._line: ParentLine | None = None
        self._connecting = asyncio.Lock()

    async def request(
        self, verb: str, body: Mapping[str, Any], *, start: bool
    ) -> dict[str, Any] | None:
        """Ask the parent; None if there is none and nothing for one to look after.

        Every request may be repeated, so one whose parent left is sent to the next.
        Raises `TransientError` if none can be reached or started, and
        `LineLostError` if a request was sent and lost again and again.
        """
        pause = _PAUSE
        for attempt in range(_ATTEMPTS):
            if attempt:
                await anyio.sleep(pause)
                pause *= 2
            try:
                line = await self._connected(start=start)
                return None if line is None else await line.request(verb, body)
            except LineLostError as fault:
                lost = fault
        if lost.sent:
            raise lost
        raise TransientError(f"the local cloud cannot be reached: {lost}") from lost

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.close()
            self._line = None

    async def _connected(self, *, start: bool) -> ParentLine | None:
        async with self._connecting:
            if self._line is None or not self._line.open:
                self._line = await self._connect(start=start)
            return self._line

    async def _connect(self, *, start: bool) -> ParentLine | None:
        """Call the parent that is there; else start one and call that."""
        if (line := await self._call()) is not None:
            return line
        if not start and not await on_disk(self._folder.in_use):
            return None
        await self._start_parent()
        line = await self._call()
        if line is None:
            raise LineLostError("the parent left before it was called", sent=False)
        return line

    async def _call(self) -> ParentLine | None:
        """Connect to the parent that the folder names, None if nobody answers."""
        contact = await on_disk(self._contact)
        if contact is None:
            return None
        loop = asyncio.get_running_loop()
        try:
            transport, line = await loop.create_connection(
                lambda: ParentLine(contact["secret"]), "127.0.0.1", contact["port"]
            )
        except OSError:
            return None
        try:
            await line.prove()
        except LineLostError:
            return None
        except BaseException:
            transport.abort()
            raise
        return line

    def _contact(self) -> dict[str, Any] | None:
        try:
            contact = json.loads(self._folder.contact.read_text())
        except (OSError, ValueError):
            return None
        return contact if isinstance(contact, dict) else None

    async def _start_parent(self) -> None:
        """Start a parent and wait until one answers, ours or somebody else's."""
        await on_disk(self._make_folder)
        module = "aioelasticluster.providers.local.server"
        python = sys.executable or base_interpreter()
        command = [python, "-P", "-m", module, str(self._folder.path)]
        try:
            status, words = await _spoken(command, await on_disk(_environment))
        except OSError as fault:
            raise TransientError(f"cannot start {command[0]}: {fault}") from fault
        if status:
            raise TransientError(f"the local cloud did not start: {words}")

    def _make_folder(self) -> None:
        """Make the state folder; refuse one that other users can write to."""
        path = self._folder.path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = path.stat()
        except OSError as fault:
            raise InvalidRequestError(
                f"state_dir {path} cannot be used: {fault}; "
                "give LocalCloudProvider another one"
            ) from fault
        if found.st_uid != os.getuid() or found.st_mode & 0o002:
            raise InvalidRequestError(
                f"state_dir {path} can be written by other users; "
                "give LocalCloudProvider a folder of your own"
            )


async def _spoken(
    command: list[str], environment: Mapping[str, str]
) -> tuple[int, str]:
    """Run a command of few words; return its status and what it said."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as words, os.fdopen(writer, "wb") as output:
        status = await run_process(
            command, environment=environment, folder=Path("/"), output=output
        )
        output.close()
        said = await on_disk(words.read)
    return status, said.decode(errors="replace").strip()


def _environment() -> dict[str, str]:
    """Return the parent's environment: it must find the modules that we found."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") and name != "VIRTUAL_ENV"
    }
    paths = [os.path.abspath(path or ".") for path in sys.path]
    return environment | {"PYTHONPATH": os.pathsep.join(paths)}
