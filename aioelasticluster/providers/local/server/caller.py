"""One client at the parent's end: proves itself, then sends lines, gets lines."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Mapping
from typing import Any

from aioelasticluster.providers.local import wire


class Caller:
    """A connection; requests are answered in their order."""

    def __init__(
        self,
        connection: socket.socket,
        secret: str,
        answer: Callable[[Mapping[str, Any]], dict[str, Any]],
        changed: Callable[[Caller], None],
    ) -> None:
        self.connection = connection
        self.closed = False
        self._secret, self._answer, self._changed = secret, answer, changed
        self._nonce = secrets.token_hex(16)
        self._proven = False
        self._received = bytearray()
        self._unsent = bytearray()

    @property
    def waiting(self) -> bool:
        """Whether something could not be sent yet."""
        return bool(self._unsent)

    def ready(self, events: int) -> None:
        """Read and write what can be; say if that changes what we wait for."""
        before = self.waiting
        try:
            self._read()
            self._write()
        except (OSError, ValueError):
            self.closed = True  # gone, or nobody whom we should listen to
        if self.closed or self.waiting != before:
            self._changed(self)

    def _read(self) -> None:
        try:
            data = self.connection.recv(256 * 1024)
        except BlockingIOError:
            return
        if not data:
            self.closed = True
        self._received += data
        while not self.closed and b"\n" in self._received:
            line, _, rest = self._received.partition(b"\n")
            self._received = bytearray(rest)
            self._take(wire.decode(bytes(line)))
        limit = wire.LONGEST if self._proven else wire.LONGEST_UNPROVED
        if len(self._received) > limit:
            raise ValueError("too long a line")

    def _take(self, message: Mapping[str, Any]) -> None:
        if self._proven:
            self._unsent += wire.encode(self._answer(message))
        elif "nonce" in message:
            proof = wire.proof(self._secret, wire.PARENT, str(message["nonce"]))
            self._unsent += wire.encode({"proof": proof, "nonce": self._nonce})
        elif wire.proves(message.get("proof"), self._secret, wire.CLIENT, self._nonce):
            self._proven = True
        else:
            raise ValueError("no proof")

    def _write(self) -> None:
        while self._unsent:
            try:
                sent = self.connection.send(self._unsent)
            except BlockingIOError:
                return
            del self._unsent[:sent]
