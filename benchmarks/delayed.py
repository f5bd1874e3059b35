"""A connection with a delay, for SSH's ProxyCommand: `delayed.py HOST PORT SECONDS`.

What goes through it arrives so many seconds later, each way; nothing gets narrower.
"""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading
import time


def carried(source: int, target: int, seconds: float) -> None:
    """Carry what comes out of one descriptor into another until there is no more."""
    waiting: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def take() -> None:
        while True:
            try:
                data = os.read(source, 65536)
            except OSError:
                data = b""
            waiting.put((time.monotonic() + seconds, data))
            if not data:
                return

    threading.Thread(target=take, daemon=True).start()
    while True:
        due, data = waiting.get()
        if not data:
            return
        time.sleep(max(0.0, due - time.monotonic()))
        while data:
            data = data[os.write(target, data) :]


def main() -> None:
    """Connect, and carry both ways until the host has no more to say."""
    host, port, seconds = sys.argv[1:]
    with socket.create_connection((host, int(port))) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        there = threading.Thread(
            target=_sent, args=(line, float(seconds)), daemon=True, name="there"
        )
        there.start()
        carried(line.fileno(), 1, float(seconds))


def _sent(line: socket.socket, seconds: float) -> None:
    try:
        carried(0, line.fileno(), seconds)
        line.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the host has left


if __name__ == "__main__":
    main()
