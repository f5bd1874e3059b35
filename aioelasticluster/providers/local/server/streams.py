"""Bytes between a channel and a process's file descriptors, with back-pressure."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

_CHUNK = 64 * 1024

#: How much (bytes) may wait for a process to read before its sender is held up.
_HIGH_WATER = 256 * 1024


class Outflow:
    """Hands on what can be read from a descriptor, until its end."""

    def __init__(
        self, descriptor: int, write: Callable[[bytes], None], ended: Callable[[], None]
    ) -> None:
        self._descriptor, self._write, self._ended = descriptor, write, ended
        self._loop = asyncio.get_running_loop()
        self._paused = False
        self.open = True
        os.set_blocking(descriptor, False)
        self.resume()

    def pause(self) -> None:
        """Stop reading: the receiver has enough."""
        self._paused = True
        if self.open:
            self._loop.remove_reader(self._descriptor)

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        if self.open:
            self._loop.add_reader(self._descriptor, self._read)

    def drain(self) -> None:
        """Hand on what is there now, without waiting for an end."""
        while self.open and self._read():
            pass

    def close(self) -> None:
        """Stop for good and close the descriptor."""
        if self.open:
            self.open = False
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)

    def _read(self) -> bool:
        try:
            data = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:  # a terminal whose other side is closed says EIO
            data = b""
        if data:
            self._write(data)
            return True
        self.close()
        self._ended()
        return False


class Inflow:
    """Writes what a channel delivers to a descriptor as fast as it is read there."""

    def __init__(
        self, descriptor: int, hold: Callable[[], None], go_on: Callable[[], None]
    ) -> None:
        self._descriptor, self._hold, self._go_on = descriptor, hold, go_on
        self._loop = asyncio.get_running_loop()
        self._waiting = bytearray()
        self._held = False
        self._eof = False
        self.open = True
        os.set_blocking(descriptor, False)

    def feed(self, data: bytes) -> None:
        """Write data, or keep it until the process reads."""
        if not self.open:
            return  # like a closed pipe whose writer ignores SIGPIPE
        was_empty = not self._waiting
        self._waiting += data
        if was_empty:
            self._write()
        if len(self._waiting) > _HIGH_WATER and not self._held:
            self._held = True
            self._hold()

    def end(self) -> None:
        """Close the descriptor once all has been written."""
        self._eof = True
        if not self._waiting:
            self.close()

    def close(self) -> None:
        """Stop for good and close the descriptor; what waits is dropped."""
        if self.open:
            self.open = False
            self._waiting.clear()
            self._loop.remove_writer(self._descriptor)
            os.close(self._descriptor)
            self._release()

    def _write(self) -> None:
        try:
            written = os.write(self._descriptor, self._waiting)
        except BlockingIOError:
            written = 0
        except OSError:  # the process reads no more
            self.close()
            return
        del self._waiting[:written]
        if self._waiting:
            self._loop.add_writer(self._descriptor, self._write)
            return
        self._loop.remove_writer(self._descriptor)
        if self._eof:
            self.close()
        else:
            self._release()

    def _release(self) -> None:
        """Let the sender go on; what it had to keep comes before this returns."""
        if self._held:
            self._held = False
            self._go_on()
