"""After which faults a launch may have been carried out, and after which not."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aioelasticluster import BotoCloudProvider
from aioelasticluster.errors import (
    InvalidRequestError,
    ProviderError,
    TransientError,
    UnknownOutcomeError,
)
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


def self_signed(folder: Path) -> Path:
    """Write a key and a certificate that it signs itself; return their file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    plain = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / "certificate.pem"
    path.write_bytes(plain + certificate.public_bytes(serialization.Encoding.PEM))
    return path


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


async def test_a_certificate_that_nobody_signed_is_told_at_once(tmp_path: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(self_signed(tmp_path))

    async def hang_up(reader: StreamReader, writer: StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context) as up:
        port = up.sockets[0].getsockname()[1]
        error = await refusal_of(f"https://127.0.0.1:{port}")
    assert isinstance(error, InvalidRequestError)
    assert "certificate" in str(error)


async def test_a_launch_that_nobody_listened_to_may_be_sent_again() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = await refusal_of(f"http://127.0.0.1:{unused.getsockname()[1]}")

    assert isinstance(error, TransientError)
    assert "did not reach EC2" in str(error)
