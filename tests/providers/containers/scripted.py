"""An engine on loopback that answers as it is told, as real ones rarely do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

#: In place of an answer: the line is cut.
LOST = 0


class ScriptedEngine:
    """Answers, by method and path: a status and a body, or several, the last for good.

    What is not told is not there (404). `asked` is what was, in order. `files` are
    those that any container has, packed.
    """

    def __init__(self) -> None:
        self.url = ""
        self.answers: dict[str, Sequence[tuple[int, Any]]] = {}
        self.asked: list[str] = []
        self.files: Mapping[str, bytes] = {}

    def tell(self, request: str, *answers: tuple[int, Any]) -> None:
        """Have a request answered so from now on."""
        self.answers[request] = answers

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; what the path has of the API's version is left out."""
        parts = request.path.split("/")[1:]
        path = "/".join(parts[1:] if parts[0].startswith("v1") else parts)
        label = f"{request.method} {path}"
        if label == "GET version":
            return web.json_response({"ApiVersion": "1.40"})
        self.asked.append(label)
        if packed := self.files.get(request.query.get("path", "")):
            return web.Response(body=packed, content_type="application/x-tar")
        told = self.answers.get(label, [(404, {"message": f"no {path}"})])
        self.answers[label] = told[1:] or told
        status, body = told[0]
        if status == LOST:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(body, status=status or 500)


@asynccontextmanager
async def scripted_engine() -> AsyncIterator[ScriptedEngine]:
    """Serve one for the block."""
    engine = ScriptedEngine()
    runner = web.ServerRunner(web.Server(engine))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        engine.url = f"tcp://127.0.0.1:{runner.addresses[0][1]}"
        yield engine
    finally:
        await runner.cleanup()


def container(
    id: str, labels: Mapping[str, str], state: str = "running", status: str = "Up"
) -> Mapping[str, Any]:
    """Return a container as engines list it."""
    return {
        "Id": id,
        "Names": [f"/{id}"],
        "Labels": dict(labels),
        "State": state,
        "Status": status,
        "Ports": [],
        "NetworkSettings": {"Networks": {"n": {"IPAddress": "10.0.0.2"}}},
    }
