"""Stands before nova, and loses, refuses, delays or falsifies answers when told to.

A client comes to it by `compute_endpoint_override=proxy.url`, or by the variable
OS_COMPUTE_ENDPOINT_OVERRIDE. Nova sees every request that is not refused.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
from aiohttp import web

#: Paths below the endpoint where nothing else is said.
_PATHS = {"POST": "/servers", "DELETE": "/servers/[^/]+"}

#: What two neighbours on a connection say to one another alone.
_OWN = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})

_LISTS = ("/servers", "/servers/detail")

#: What a request that is not done by then (seconds) has become of.
_TIMEOUT = aiohttp.ClientTimeout(total=120)

Answer = tuple[int, list[tuple[str, str]], bytes]


@dataclass(slots=True, kw_only=True)
class Fault:
    """What is to happen to the next requests of a kind."""

    does: Literal["cut", "delay", "lose", "refuse"]
    method: str
    path: str
    times: int
    status: int = 0
    seconds: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)

    def concerns(self, method: str, path: str) -> bool:
        """Tell whether it happens to a request."""
        return (
            self.times > 0
            and self.method in ("", method)
            and re.fullmatch(self.path, path) is not None
        )


class FaultProxy:
    """A nova that misbehaves as it is told. Its methods may be called anywhere.

    `method` is one of HTTP or, if empty, any; `path` is a regular expression for what
    follows the endpoint. Without one, POST means new servers, DELETE the end of one,
    and all else every path.
    """

    def __init__(self, behind: str) -> None:
        self.url = ""
        self._behind = behind
        self._turn = threading.Lock()
        self._faults: list[Fault] = []
        self._requests: list[dict[str, Any]] = []
        self._hidden_for = 0.0
        self._created_at = float("-inf")
        self._noticed: dict[str, float] = {}

    def cut(self, method: str = "POST", path: str = "", *, times: int = 1) -> None:
        """Break the connection in place of an answer: nova has done what was asked."""
        self._add(Fault(does="cut", method=method, path=path, times=times))

    def lose(self, method: str = "POST", path: str = "", *, times: int = 1) -> None:
        """Break the connection before nova hears of the request."""
        self._add(Fault(does="lose", method=method, path=path, times=times))

    def refuse(
        self,
        status: int,
        method: str = "",
        path: str = "",
        *,
        times: int = 1,
        retry_after: float | None = None,
    ) -> None:
        """Answer 429, 503 or the like in nova's stead."""
        headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
        self._add(
            Fault(
                does="refuse",
                method=method,
                path=path,
                times=times,
                status=status,
                headers=headers,
            )
        )

    def delay(
        self, seconds: float, method: str = "", path: str = "", *, times: int = 1
    ) -> None:
        """Hold back answers."""
        self._add(
            Fault(does="delay", method=method, path=path, times=times, seconds=seconds)
        )

    def hide(self, seconds: float) -> None:
        """Leave new servers out of lists for a while after they were asked for."""
        with self._turn:
            self._hidden_for = seconds
            self._created_at = float("-inf")
            self._noticed.clear()

    def behave(self) -> None:
        """Pass all on from now on, and forget the requests."""
        with self._turn:
            self._faults.clear()
            self._requests.clear()
            self._hidden_for = 0.0

    def requests(self, method: str = "") -> list[dict[str, Any]]:
        """Return what came: method, path, at, status (0: no answer), does (a fault)."""
        with self._turn:
            return [one for one in self._requests if method in ("", one["method"])]

    def _add(self, fault: Fault) -> None:
        fault.path = fault.path or _PATHS.get(fault.method, ".*")
        with self._turn:
            self._faults.append(fault)

    def _next_fault(self, method: str, path: str) -> Fault | None:
        with self._turn:
            for fault in self._faults:
                if fault.concerns(method, path):
                    fault.times -= 1
                    return fault
        return None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix(self._prefix)
        fault = self._next_fault(request.method, path)
        note = {
            "method": request.method,
            "path": request.path_qs,
            "at": time.time(),
            "status": 0,
            "does": fault.does if fault else "",
        }
        with self._turn:
            self._requests.append(note)
        if fault and fault.does == "refuse":
            note["status"] = fault.status
            return _refusal(fault)
        if fault and fault.does == "lose":
            return _broken(request)
        status, headers, body = await self._passed_on(request, path)
        if fault and fault.does == "delay":
            await asyncio.sleep(fault.seconds)
        if fault and fault.does == "cut":
            return _broken(request)
        note["status"] = status
        return web.Response(status=status, headers=headers, body=body)

    @property
    def _prefix(self) -> str:
        return "/" + self._behind.split("/", 3)[3]

    async def _passed_on(self, request: web.Request, path: str) -> Answer:
        """Let nova answer; falsify lists."""
        if request.method == "POST" and path == "/servers":
            with self._turn:
                self._created_at = time.monotonic()
        async with self._session.request(
            request.method,
            self._behind.removesuffix(self._prefix) + request.path_qs,
            headers=_passing(request.headers.items()),  # with our address as the host
            data=await request.read() or None,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type"),
            allow_redirects=False,
        ) as answer:
            body = await answer.read()
            if request.method == "GET" and path in _LISTS and answer.status == 200:
                body = self._without_hidden(body)
            return answer.status, _passing(answer.headers.items()), body

    def _without_hidden(self, body: bytes) -> bytes:
        """Return a list of servers without those that are too new."""
        listed = json.loads(body)
        now = time.monotonic()
        with self._turn:
            for one in listed["servers"]:
                self._noticed.setdefault(one["id"], self._created_at)
            listed["servers"] = [
                one
                for one in listed["servers"]
                if now >= self._noticed[one["id"]] + self._hidden_for
            ]
        return json.dumps(listed).encode()

    async def serve(self, ready: Future[None], stop: asyncio.Event) -> None:
        """Serve on a free port until told to stop."""
        application = web.Application(client_max_size=1 << 24)
        application.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        async with aiohttp.ClientSession(
            auto_decompress=False, timeout=_TIMEOUT
        ) as self._session:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0]
            self.url = f"http://{host}:{port}{self._prefix}"
            ready.set_result(None)
            await stop.wait()
            await runner.cleanup()


def _passing(headers: Any) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name.lower() not in _OWN]


def _refusal(fault: Fault) -> web.Response:
    body = {"refused": {"code": fault.status, "message": "Told to refuse."}}
    return web.json_response(body, status=fault.status, headers=fault.headers)


def _broken(request: web.Request) -> web.Response:
    """Break a request's connection; what is returned reaches nobody."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@contextmanager
def faulty_compute(behind: str) -> Iterator[FaultProxy]:
    """Run a proxy before nova's endpoint for the block, in a thread of its own."""
    proxy, ready = FaultProxy(behind), Future[None]()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    def run() -> None:
        try:
            loop.run_until_complete(proxy.serve(ready, stop))
        except BaseException as fault:
            if ready.done():
                raise
            ready.set_exception(fault)
        finally:
            loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        ready.result()
        yield proxy
    finally:
        if thread.is_alive():
            loop.call_soon_threadsafe(stop.set)
        thread.join()
