"""The set-up contract: what turns alive nodes into a ready cluster.

A set-up provider sees plain values, never the handles that users hold.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from aioelasticluster.model.capabilities import Capabilities, Requirements
from aioelasticluster.model.events import Event
from aioelasticluster.model.names import host_alias
from aioelasticluster.model.reports import SetupReport


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupHost:
    """One node as set-up reaches it; `host_keys` are its accepted public keys."""

    name: str
    kind: str
    address: str
    port: int
    login: str
    host_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupCluster:
    """A cluster as set-up sees it.

    `hosts` are all alive nodes; known_hosts is keyed by `alias_of(host)`. The key is
    either a file (with a passphrase, perhaps) or, where `private_key_path` is empty,
    one that the user's agent holds. `proxy` is a jump host `[user@]host[:port]` or a
    ProxyCommand with %h and %p. `listen` takes events.
    """

    id: str
    name: str
    hosts: tuple[SetupHost, ...]
    private_key_path: str
    passphrase: str
    proxy: str
    capabilities: Capabilities
    listen: Callable[[Event], None]
    host_ca: str = ""

    def alias_of(self, host: SetupHost) -> str:
        """Return the HostKeyAlias of a host: never an address, for those return."""
        return host_alias(host.name, self.id)


class AbstractSetupProvider(ABC):
    """A way of setting clusters up. Subclass it to use another tool."""

    #: Under which name `settings()` are recorded, such as `ansible`.
    adapter: ClassVar[str]

    @abstractmethod
    def check(self, kinds: Collection[str]) -> Requirements:
        """Check the whole set-up for these kinds of node; no network, no launch yet.

        Raises `ConfigurationError` for what cannot work (an unknown group, a missing
        playbook). Returns what the instances must offer.
        """

    @abstractmethod
    async def setup(
        self,
        cluster: SetupCluster,
        only: Collection[str] | None = None,
        extra_args: Sequence[str] = (),
    ) -> SetupReport:
        """Set the cluster's hosts up, or `only` those named; repeating it is safe.

        Hosts that were set up before are touched only where they must know of these,
        and are in the report then. A host's failure is a value in the report. On
        cancellation the tool is stopped, gently at first, before the cancellation
        goes on.
        """

    async def before_removal(
        self, cluster: SetupCluster, leaving: Collection[str]
    ) -> None:
        """Drain hosts that are about to be terminated; the default does nothing."""

    async def cleanup(self, cluster_id: str) -> None:
        """Remove what set-up keeps on this machine for a cluster that is gone."""

    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """Return the keyword arguments that rebuild this provider, never a secret."""
