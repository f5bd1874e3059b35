"""What the engine needs of SSH: a target, a probe, and a connection to act on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from aioelasticluster.errors import ConfigurationError
from aioelasticluster.model.reports import RunResult

if TYPE_CHECKING:
    import asyncssh


class HostKeyPolicy(StrEnum):
    """Where the trust in a node's first SSH packet comes from."""

    INJECTED = "injected"  # a key of ours, given to the node by its user-data
    CLOUD = "cloud"  # read over the cloud's own channel
    CA = "ca"  # signed by an authority of the user's
    TOFU = "tofu"  # the first one seen, and no other ever after


def check_policy(policy: str, authority: str) -> None:
    """Raise `ConfigurationError` for a policy that is none, or lacks its authority."""
    if policy not in set(HostKeyPolicy):
        raise ConfigurationError(
            "host_keys",
            policy,
            "no such policy",
            f"Choose one of {', '.join(HostKeyPolicy)}",
        )
    if (policy == HostKeyPolicy.CA) != bool(authority):
        raise ConfigurationError(
            "host_ca",
            authority,
            'goes with host_keys="ca", and only with it',
            "Give the authority's public key, as in known_hosts",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SshTarget:
    """A node to reach.

    `host_keys` are the accepted public keys; empty under `tofu` means that the
    first one is pinned. `alias` is what known_hosts is keyed by. `rotate_from` is
    the injected key of the node's batch, empty where none is left to rotate.
    """

    node: str
    alias: str
    address: str
    port: int
    login: str
    host_keys: tuple[str, ...] = ()
    policy: HostKeyPolicy = HostKeyPolicy.INJECTED
    host_ca: str = ""
    rotate_from: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What a successful probe found out.

    `host_keys` are the keys to accept from now on. `unrotated` says why an injected
    key stays, empty if it was rotated or needs no rotation.
    """

    host_keys: tuple[str, ...]
    unrotated: str = ""


#: Records public host keys as accepted; returns when they are on disk.
Accept: TypeAlias = Callable[[tuple[str, ...]], Awaitable[None]]


class AbstractTransport(ABC):
    """How the nodes of one cluster are reached, with its one key.

    Coroutines but `load` work only while `opened()` is entered; it may be nested.
    """

    @abstractmethod
    async def load(self) -> str:
        """Check the key pair, once; return the public key as OpenSSH text.

        Raises `KeyPairError`.
        """

    @abstractmethod
    def opened(self) -> AbstractAsyncContextManager[None]:
        """Hold limits and the jump host's connection for the block."""

    @abstractmethod
    async def probe(self, target: SshTarget, accept: Accept | None = None) -> Reached:
        """Connect once, in bounded time; close the connection before returning.

        With `accept` and `rotate_from`, the injected host key is rotated over the
        same connection: `accept((old, new))` has returned before the node gets its
        new key. Raises `UnreachableError`, `AuthenticationError`, `HostKeyError`.
        """

    @abstractmethod
    async def connect(self, target: SshTarget) -> asyncssh.SSHClientConnection:
        """Return a connection, which the caller closes; raises as `probe` does."""

    @abstractmethod
    def ssh_config(
        self,
        targets: Sequence[SshTarget],
        *,
        cluster: str,
        cluster_id: str,
        known_hosts: str | Path | None,
    ) -> str:
        """Return a configuration for OpenSSH and write the known_hosts it names.

        Needs no `opened()`; writes one small file at once. Raises
        `ConfigurationError` for what OpenSSH cannot be told.
        """

    async def cleanup(self, cluster_id: str) -> None:
        """Remove what is kept on this machine for a cluster that is gone."""

    @abstractmethod
    async def run(
        self,
        target: SshTarget,
        command: str,
        *,
        timeout: float | None = None,
        stdin: str = "",
    ) -> RunResult:
        """Run a command; an unreachable node is a value in the result."""
