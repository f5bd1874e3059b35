"""What the engine needs of SSH: a target, a probe, and a connection to act on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class HostKeyPolicy(StrEnum):
    """Where the trust in a node's first SSH packet comes from."""

    INJECTED = "injected"  # a key of ours, given to the node by its user-data
    CLOUD = "cloud"  # read over the cloud's own channel
    CA = "ca"  # signed by an authority of the user's
    TOFU = "tofu"  # the first one seen, and no other ever after


@dataclass(frozen=True, slots=True, kw_only=True)
class SshTarget:
    """A node to reach.

    `host_keys` are the accepted public keys; empty under `tofu` means that the
    first one is pinned. `alias` is what known_hosts is keyed by.
    """

    node: str
    alias: str
    address: str
    port: int
    login: str
    host_keys: tuple[str, ...] = ()
    policy: HostKeyPolicy = HostKeyPolicy.INJECTED
    host_ca: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What a successful probe found out.

    `host_keys` are the keys to accept from now on. `unrotated` says why an injected
    key stays, empty if it was rotated or needs no rotation.
    """

    host_keys: tuple[str, ...]
    unrotated: str = ""


class Probe(Protocol):
    """Asks once whether a node is alive: answers SSH, with the expected host key."""

    async def __call__(
        self,
        target: SshTarget,
        *,
        accept: Callable[[tuple[str, ...]], Awaitable[None]] | None = None,
    ) -> Reached:
        """Connect once, in bounded time; close the connection before returning.

        With `accept`, an injected host key is rotated over the same connection:
        `accept(keys)` must have returned (both keys are on disk) before the node
        gets its new key. Raises `UnreachableError`, `AuthenticationError` or
        `HostKeyError`.
        """
