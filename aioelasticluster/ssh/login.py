"""One SSH handshake on an open line: verified, authenticated, in our own errors."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from aioelasticluster._aio.finish import finish
from aioelasticluster.errors import (
    AuthenticationError,
    HostKeyError,
    SshError,
    UnknownOutcomeError,
    UnreachableError,
)
from aioelasticluster.ssh.base import HostKeyPolicy, SshTarget
from aioelasticluster.ssh.host_keys import fingerprint, public_text
from aioelasticluster.ssh.keys import ClientKeys
from aioelasticluster.ssh.line import Line, place, unreachable

if TYPE_CHECKING:
    import asyncssh

log = logging.getLogger("aioelasticluster.ssh")

#: The cheapest first, measured: a third of a handshake's CPU is the default cipher.
#: The last three are for servers without AES-GCM. Key exchanges stay asyncssh's own,
#: which prefer post-quantum ones.
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes256-ctr",
)

#: Host key algorithms, best first; SHA-1 signatures are not among them.
HOST_KEY_ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)

#: How long (seconds) a broken connection may take to be gone.
CLOSING_PATIENCE = 2.0


@dataclass(kw_only=True)
class Handshake:
    """What one handshake is to verify, and what it came across.

    `trusts` decides on a plain host key; `expected` says in words which ones it does.
    `shown` is the last key that it was asked about.
    """

    target: SshTarget
    line: Line
    expected: str
    trusts: Callable[[str], bool]
    known_hosts: Any = ((), (), ())
    algorithms: Sequence[str] = ()
    shown: str = ""
    connection: asyncssh.SSHClientConnection | None = None

    def host_key_error(self, reason: str) -> HostKeyError:
        """Return the error that names what was shown and what was expected."""
        shown = f"shows host key {fingerprint(self.shown)}" if self.shown else reason
        return HostKeyError(f"{place(self.target)}: {shown}, expected {self.expected}")


def node_handshake(target: SshTarget, line: Line) -> Handshake:
    """Return how a node's host key is verified under its policy."""
    import asyncssh

    if target.policy is HostKeyPolicy.CA:
        authority = asyncssh.import_public_key(target.host_ca)
        return Handshake(
            target=target,
            line=line,
            expected=f"one certified by {fingerprint(target.host_ca)}",
            trusts=lambda key: False,
            known_hosts=((), (authority,), ()),
            algorithms=(*_certificates(), *HOST_KEY_ALGORITHMS),
        )
    accepted = frozenset(map(public_text, target.host_keys))
    first = not accepted and target.policy is HostKeyPolicy.TOFU
    return Handshake(
        target=target,
        line=line,
        expected=" or ".join(map(fingerprint, target.host_keys)) or "none",
        trusts=lambda key: first or key in accepted,
        algorithms=_algorithms(target.host_keys),
    )


def _certificates() -> list[str]:
    suffix = "-cert-v01@openssh.com"
    return [algorithm + suffix for algorithm in HOST_KEY_ALGORITHMS]


def _algorithms(accepted: Sequence[str]) -> list[str]:
    """Put first what the accepted keys can sign with; a server may have several keys.

    The others stay in the list, so that a wrong key is shown and can be named.
    """
    types = {key.split()[0].replace("ssh-rsa", "rsa-sha2") for key in accepted}
    return sorted(
        HOST_KEY_ALGORITHMS,
        key=lambda algorithm: not algorithm.startswith(tuple(types)),
    )


async def log_in(
    handshake: Handshake,
    keys: ClientKeys,
    *,
    timeout: float,
    other_agent: str = "",
    keepalive: float = 0.0,
) -> asyncssh.SSHClientConnection:
    """Shake hands and authenticate; on any failure the line is closed, and gone.

    Raises `HostKeyError`, `AuthenticationError`, `UnreachableError`, or `SshError`
    for a server that we have no algorithm in common with. The connection, when it is
    closed, closes the line. `other_agent` is asked for more keys behind ours.
    """
    try:
        with _speaking_ours(handshake, keys, timeout):
            async with asyncio.timeout(timeout), _offered(keys, other_agent) as pairs:
                return await _connect(handshake, pairs, keepalive)
    except BaseException:
        await _drop(handshake)
        raise


async def _connect(
    handshake: Handshake, pairs: Sequence[Any], keepalive: float
) -> asyncssh.SSHClientConnection:
    import asyncssh

    target, line = handshake.target, handshake.line
    return await asyncssh.connect(
        target.address,
        target.port,
        sock=line.sock,
        tunnel=line.tunnel,
        username=target.login,
        client_factory=lambda: _observer()(handshake),
        client_keys=pairs,
        known_hosts=handshake.known_hosts,
        server_host_key_algs=handshake.algorithms,
        encryption_algs=CIPHERS,
        preferred_auth="publickey",
        keepalive_interval=keepalive,
        # Our own deadline stands outside, where a cancellation finds it.
        connect_timeout=None,
        login_timeout=0,
        # Nothing of the user's own set-up: only what we were given counts.
        config=None,
        proxy_command=None,
        agent_path=None,
        gss_host=None,
        x509_trusted_certs=None,
        x509_trusted_cert_paths=[],
    )


async def _drop(handshake: Handshake) -> None:
    """Close a failed handshake's transport, and wait until it is gone."""
    if handshake.connection is not None:
        handshake.connection.abort()
        gone = handshake.connection.wait_closed()
        try:
            await finish(gone, patience=CLOSING_PATIENCE)
        except UnknownOutcomeError:
            log.warning("%s: gave up closing a connection", place(handshake.target))
    handshake.line.close()


@cache
def _observer() -> Callable[[Handshake], asyncssh.SSHClient]:
    """Return the class that asyncssh reports to; made once asyncssh is needed."""
    import asyncssh

    foreign = logging.getLogger("asyncssh")
    if foreign.level == logging.NOTSET:
        # It tells every command at INFO, which may hold what is nobody's business.
        foreign.setLevel(logging.WARNING)

    class Observer(asyncssh.SSHClient):
        def __init__(self, handshake: Handshake) -> None:
            self._handshake = handshake

        def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
            self._handshake.connection = conn
            self._handshake.line.sock = None  # the transport's from now on

        def connection_lost(self, exc: Exception | None) -> None:
            self._handshake.line.close()

        def validate_host_public_key(
            self, host: str, addr: str, port: int, key: asyncssh.SSHKey
        ) -> bool:
            shown = public_text(key.export_public_key("openssh").decode())
            self._handshake.shown = shown
            return self._handshake.trusts(shown)

    return Observer


@asynccontextmanager
async def _offered(keys: ClientKeys, other_agent: str) -> AsyncIterator[list[Any]]:
    """Yield what to authenticate with; an agent's keys work while it is connected.

    Each handshake has its own connection to the agent: one that is cancelled between
    question and answer would leave the answer to the next.
    """
    import asyncssh

    pairs: list[Any] = [] if keys.parsed is None else [keys.parsed]
    async with AsyncExitStack() as stack:
        if agent := keys.agent or other_agent:
            try:
                client = await stack.enter_async_context(asyncssh.connect_agent(agent))
                held = await client.get_keys()
            except (OSError, ValueError) as error:
                if not pairs:
                    raise _agent_error(keys) from error
            else:
                wanted = keys.public if keys.agent else ""
                pairs += [key for key in held if not wanted or _is(key, wanted)]
        if not pairs:
            raise _agent_error(keys)
        yield pairs


def _is(pair: asyncssh.SSHKeyPair, public: str) -> bool:
    return base64.b64encode(pair.public_data).decode() == public.split()[1]


def _agent_error(keys: ClientKeys) -> AuthenticationError:
    return AuthenticationError(
        f"the ssh-agent at {keys.agent} does not offer {keys.fingerprint}: "
        "is it still running, unlocked, and does `ssh-add -l` list the key?"
    )


@contextmanager
def _speaking_ours(
    handshake: Handshake, keys: ClientKeys, timeout: float
) -> Iterator[None]:
    """Turn what asyncssh raises into our errors."""
    import asyncssh

    target = handshake.target
    try:
        yield
    except SshError:
        raise
    except asyncssh.HostKeyNotVerifiable as error:
        raise handshake.host_key_error(error.reason) from error
    except asyncssh.PermissionDenied as error:
        raise AuthenticationError(
            f"{place(target)} refuses the key {keys.fingerprint} "
            f"for login {target.login!r}"
        ) from error
    except asyncssh.KeyExchangeFailed as error:
        raise SshError(f"{place(target)}: {error.reason}") from error
    except asyncssh.ChannelOpenError as error:
        raise UnreachableError(
            f"{place(target)}: the jump host does not get there: {error.reason}"
        ) from error
    except asyncssh.Error as error:
        raise UnreachableError(f"{place(target)}: {error.reason}") from error
    except OSError as error:
        raise unreachable(target, error, f"no login within {timeout:g} s") from error
    except ValueError as error:
        if not keys.agent:
            raise
        # What asyncssh raises when the agent does not sign.
        raise _agent_error(keys) from error
