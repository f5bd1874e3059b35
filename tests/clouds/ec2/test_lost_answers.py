"""After which faults a launch may have been carried out, and after which not."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from aioelasticluster import BotoCloudProvider
from aioelasticluster.errors import ProviderError, TransientError, UnknownOutcomeError
from tests.clouds.ec2.clusters import quicken
from tests.providers.ec2.samples import order

_PAGE = "<html><body>out of order</body></html>"
_BUSY = "<Response><Errors><Error><Code>Unavailable</Code></Error></Errors></Response>"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)


def answer(status: int, body: str) -> bytes:
    """Return a whole answer of HTTP."""
    head = f"HTTP/1.1 {status} Something\r\nContent-Type: text/html\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


@asynccontextmanager
async def endpoint(said: bytes) -> AsyncIterator[str]:
    """Run a server that reads each request, says this much, and resets."""

    async def serve(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            if said:
                await stream.send(said)
                await anyio.sleep(0.05)  # so that it is read before the reset
            at_once = struct.pack("ii", 1, 0)
            stream.extra(SocketAttribute.raw_socket).setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, at_once
            )

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    port = listener.extra(SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        yield f"http://127.0.0.1:{port}"
        group.cancel_scope.cancel()


async def refusal_of(url: str) -> ProviderError:
    """Launch at an address, and return what is raised."""
    provider = BotoCloudProvider(url, "us-east-1", "a-key", "a-secret")
    async with provider:
        with pytest.raises(ProviderError) as caught:
            await provider.launch(order())
    return caught.value


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n<RunInstances",
        answer(200, _PAGE),
        answer(500, ""),
        answer(502, _PAGE),
        answer(503, _BUSY),
        answer(504, _PAGE),
    ],
    ids=["reset", "cut", "page", "empty", "gateway", "busy", "late gateway"],
)
async def test_a_launch_that_may_have_been_carried_out_is_told_as_such(
    said: bytes,
) -> None:
    async with endpoint(said) as url:
        assert isinstance(await refusal_of(url), UnknownOutcomeError)


async def test_a_launch_that_nobody_listened_to_may_be_sent_again() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = await refusal_of(f"http://127.0.0.1:{unused.getsockname()[1]}")

    assert isinstance(error, TransientError)
    assert "did not reach EC2" in str(error)
