"""The transport that clusters use: keys read once, one client shared on each loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_state_path

from aioelasticluster._aio.blocking import Blocking
from aioelasticluster._aio.shared import Shared
from aioelasticluster.model.reports import RunResult
from aioelasticluster.ssh.base import AbstractTransport, Accept, Reached, SshTarget
from aioelasticluster.ssh.config import ssh_config_text
from aioelasticluster.ssh.connect import HANDSHAKES, SshClient
from aioelasticluster.ssh.host_keys import replace_known_hosts
from aioelasticluster.ssh.keys import ClientKeys, load_client_keys
from aioelasticluster.ssh.probe import probe
from aioelasticluster.ssh.proxy import parse_proxy

if TYPE_CHECKING:
    import asyncssh


_files = Blocking(width=1, patience=10.0)


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

    def ssh_config(
        self,
        targets: Sequence[SshTarget],
        *,
        cluster: str,
        cluster_id: str,
        known_hosts: str | Path | None,
    ) -> str:
        """Return a configuration for OpenSSH; by default with a file of its own."""
        path = Path(known_hosts or _known_hosts_of(cluster_id)).expanduser().absolute()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_known_hosts(path, targets)
        public, private = self._paths
        identity = Path(private or public).expanduser().absolute()
        return ssh_config_text(
            targets, str(identity), path, cluster=cluster, proxy=self._proxy
        )

    async def cleanup(self, cluster_id: str) -> None:
        """Remove the known_hosts that `ssh_config` wrote."""
        await _files(_known_hosts_of(cluster_id).unlink, missing_ok=True)

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


def _known_hosts_of(cluster_id: str) -> Path:
    return user_state_path("aioelasticluster") / "known_hosts" / cluster_id
