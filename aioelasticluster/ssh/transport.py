"""The transport that clusters use: keys read once, one client shared on each loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from aioelasticluster._aio.shared import Shared
from aioelasticluster.model.reports import RunResult
from aioelasticluster.ssh.base import AbstractTransport, Accept, Reached, SshTarget
from aioelasticluster.ssh.connect import HANDSHAKES, SshClient
from aioelasticluster.ssh.keys import ClientKeys, load_client_keys
from aioelasticluster.ssh.probe import probe
from aioelasticluster.ssh.proxy import parse_proxy

if TYPE_CHECKING:
    import asyncssh


class SshTransport(AbstractTransport):
    """Reaches nodes with asyncssh. The constructor reads no file.

    Any method may be called without `opened()`; it then opens and closes what it
    needs by itself. `proxy` is a jump host or a ProxyCommand, or empty.
    """

    def __init__(
        self,
        public_path: str | Path,
        private_path: str | Path | None,
        *,
        passphrase: str | None = None,
        proxy: str = "",
        connect_timeout: float = 10.0,
        login_timeout: float = 15.0,
        handshakes: int = HANDSHAKES,
    ) -> None:
        parse_proxy(proxy)  # raises now rather than when nodes are up
        self._paths, self._passphrase = (public_path, private_path), passphrase
        self._proxy = proxy
        self._connect_timeout, self._login_timeout = connect_timeout, login_timeout
        self._handshakes = handshakes
        self._keys: ClientKeys | None = None
        self._client = Shared(self._open_client)

    async def load(self) -> str:
        """Check the key pair, once; return the public key as OpenSSH text."""
        return (await self.keys()).public

    async def keys(self) -> ClientKeys:
        """Return the checked key pair; raises `KeyPairError`."""
        if self._keys is None:
            self._keys = await load_client_keys(*self._paths, self._passphrase)
        return self._keys

    @asynccontextmanager
    async def _open_client(self) -> AsyncIterator[SshClient]:
        async with SshClient(
            await self.keys(),
            proxy=self._proxy,
            connect_timeout=self._connect_timeout,
            login_timeout=self._login_timeout,
            handshakes=self._handshakes,
        ) as client:
            yield client

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        async with self._client():
            yield

    def opened(self) -> AbstractAsyncContextManager[None]:
        """Hold limits and the jump host's connection for the block."""
        return self._opened()

    async def probe(self, target: SshTarget, accept: Accept | None = None) -> Reached:
        """Connect once, rotate an injected host key if asked to, and disconnect."""
        async with self._client() as client:
            return await probe(client, target, accept)

    async def connect(self, target: SshTarget) -> asyncssh.SSHClientConnection:
        """Return a connection, which the caller closes."""
        async with self._client() as client:
            return await client.connect(target)

    async def run(
        self,
        target: SshTarget,
        command: str,
        *,
        timeout: float | None = None,
        stdin: str = "",
    ) -> RunResult:
        """Run a command; an unreachable node is a value in the result."""
        async with self._client() as client:
            return await client.run(target, command, timeout=timeout, stdin=stdin)
