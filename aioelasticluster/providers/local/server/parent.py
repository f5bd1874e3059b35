"""The parent process: it answers clients one request at a time, and forks.

It runs no event loop and no thread, so that it may fork at any point; what takes
long (booting, ending) is done by the forked processes.
"""

from __future__ import annotations

import gc
import os
import secrets
import selectors
import signal
import socket
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from aioelasticluster.providers.local.layout import StateFolder, write_json
from aioelasticluster.providers.local.server.caller import Caller
from aioelasticluster.providers.local.server.fleet import Fleet
from aioelasticluster.providers.local.server.processes import adopt_orphans
from aioelasticluster.providers.local.server.refusals import RefusedError

#: How long (seconds) a parent without instances waits for its first request …
_FIRST_PATIENCE = 5.0

#: … and for another one while a client is connected.
_NEXT_PATIENCE = 0.5


class Parent:
    """Serves one state folder until nothing lives in it and nobody asks."""

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder
        self._secret = secrets.token_hex(16)
        self._selector = selectors.DefaultSelector()
        self._callers: set[Caller] = set()
        self._wake, self._woken = socket.socketpair()
        self._stopping = False
        self._idle_at = time.monotonic() + _FIRST_PATIENCE
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._fleet = Fleet(folder)
        self._verbs: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "launch": self._fleet.launch,
            "find": self._fleet.find,
            "terminate": self._fleet.terminate,
            "pause": self._fleet.pause,
            "resume": self._fleet.resume,
            "retag": self._fleet.retag,
        }

    def serve(self, ready: Callable[[], None]) -> None:
        """Answer until there is nothing to do any more."""
        self._listen_for_signals()
        adopt_orphans("aioec-parent")  # of instances that were killed from outside
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._woken, selectors.EVENT_READ, self._reap)
        write_json(
            self._folder.contact,
            {"port": self._listener.getsockname()[1], "secret": self._secret},
        )
        # What the forked processes share must not be touched: garbage collection
        # writes into every object that it looks at.
        gc.collect()
        gc.disable()
        gc.freeze()
        self._reap(selectors.EVENT_READ)
        ready()
        while not self._done():
            for key, events in self._selector.select(timeout=0.2):
                key.data(events)
        self._folder.contact.unlink(missing_ok=True)
        self._listener.close()

    def _done(self) -> bool:
        if self._stopping:
            return True
        return self._fleet.empty and time.monotonic() >= self._idle_at

    def _listen_for_signals(self) -> None:
        """Let SIGCHLD and SIGTERM interrupt the wait."""
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _stop(self, number: int, frame: object) -> None:
        self._stopping = True

    def _reap(self, events: int) -> None:
        try:
            self._woken.recv(4096)
        except BlockingIOError:
            pass
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._fleet.child_ended(pid)

    # -- clients

    def _accept(self, events: int) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # it has gone again, or we have no descriptor left for it
        connection.setblocking(False)
        caller = Caller(connection, self._secret, self._answer, self._watch)
        self._callers.add(caller)
        self._selector.register(connection, selectors.EVENT_READ, caller.ready)

    def _watch(self, caller: Caller) -> None:
        """Follow what a caller waits for now; one that has gone waits for nothing."""
        if caller.closed:
            self._selector.unregister(caller.connection)
            caller.connection.close()
            self._callers.discard(caller)
            if not self._callers:
                self._idle_at = time.monotonic()
            return
        events = selectors.EVENT_READ
        if caller.waiting:
            events |= selectors.EVENT_WRITE
        self._selector.modify(caller.connection, events, caller.ready)

    def _answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a proven caller asks for; every fault becomes an answer."""
        self._idle_at = time.monotonic() + _NEXT_PATIENCE
        answer: dict[str, Any] = {"id": request.get("id")}
        try:
            verb = self._verbs.get(str(request.get("verb")))
            if verb is None:
                raise RefusedError("invalid", f"no such verb: {request.get('verb')}")
            answer["result"] = verb(request)
        except RefusedError as refusal:
            answer["error"] = {"kind": refusal.kind, "message": refusal.message}
        except Exception as fault:
            traceback.print_exc()
            answer["error"] = {"kind": "broken", "message": f"parent: {fault!r}"}
        return answer
