"""The cloud provider contract: batches, tags and tokens.

An adapter translates; it keeps no state of any cluster. Whatever it needs to know
comes with the call, so that it works the same after a crash. Foreign errors stop
here: only `ProviderError` and its subclasses leave an adapter.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from aioelasticluster._aio.shared import HeldInBlock
from aioelasticluster.errors import ProviderError
from aioelasticluster.model.capabilities import Capabilities
from aioelasticluster.model.records import NodeSpec
from aioelasticluster.model.tags import Tags


class InstanceState(StrEnum):
    """What the cloud says of an instance."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    TERMINATING = "terminating"
    FAILED = "failed"  # exists, but will never run: `fault` says why


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One instance as the cloud describes it; a terminated one is not described.

    `index` is its place in its order's names, stable for its life; `addresses` are
    in the order in which they should be tried; `fault`, of an instance that failed, is
    classified as an error of a call would be; `tags` is None where it is not ours.
    """

    id: str
    state: InstanceState
    index: int = 0
    addresses: tuple[str, ...] = ()
    ssh_port: int = 22
    zone: str = ""
    fault: ProviderError | None = None
    tags: Tags | None = None

    @property
    def token(self) -> str:
        """The token of its order, empty where it is not ours."""
        return self.tags.token if self.tags else ""

    @property
    def name(self) -> str:
        """The name of its node, empty where its tags do not tell."""
        if self.tags is None or not 0 <= self.index < len(self.tags.names):
            return ""
        return self.tags.names[self.index]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """What a cluster needs in the cloud before its first launch."""

    cluster_id: str
    cluster: str
    key_name: str
    public_key: str
    specs: Sequence[NodeSpec]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOrder:
    """One batch of identical instances; `tags.names[i]` is the i-th one's node.

    `resources` is what `prepare` returned. `public_key` is the user's.
    """

    token: str
    spec: NodeSpec
    tags: Tags
    user_data: str = field(repr=False)  # it holds a private host key
    public_key: str
    zone: str = ""
    resources: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes' names, in the order of the instances' indices."""
        return self.tags.names


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """The answer to an order: what was launched, and why the rest was not.

    A cloud that does not say why leaves `refused` out: then the rest is ordered again,
    and the answer to that says it.
    """

    instances: tuple[Instance, ...]
    refused: ProviderError | None = None


class AbstractCloudProvider(HeldInBlock, ABC):
    """A source of instances. Subclass it to add a cloud.

    Constructors open nothing and touch no network. Every coroutine below works
    only while `opened()` is entered: the library does that around each operation,
    `async with provider` keeps it open for longer. All are safe to call
    concurrently. Cancelling one leaves the provider usable; a cancelled `launch`
    or `terminate` may have happened.
    """

    #: Under which name `settings()` are recorded, such as `local`.
    adapter: ClassVar[str]

    capabilities: Capabilities = Capabilities()

    #: Most instances in one order.
    max_batch: int = 100

    #: For how long (seconds) after a create call "not listed" means "unknown".
    settle_window: float = 60.0

    #: Longest time (seconds) that one `launch` call may take before its outcome
    #: counts as unknown.
    launch_patience: float = 120.0

    #: First and last pause (seconds) between two `describe` calls; in between they
    #: grow, or shrink if the first is the longer one.
    poll_pauses: tuple[float, float] = (1.0, 5.0)

    #: The same between two `find` calls while instances end, or pause.
    end_pauses: tuple[float, float] = (1.0, 5.0)

    @abstractmethod
    def check_options(self, spec: NodeSpec) -> None:
        """Raise `ConfigurationError` for unknown or ill-typed options; no network."""

    def zones(self, spec: NodeSpec) -> Sequence[str]:
        """Return the places to try for a spec, in order; "" is the cloud's choice.

        A place is a zone, or what the adapter needs to tell one way to launch the
        spec from another: a subnet, another flavor.
        """
        return ("",)

    @abstractmethod
    async def identity(self) -> str:
        """Return the account and region behind the credentials, never a secret."""

    @abstractmethod
    async def prepare(self, preparation: Preparation) -> Mapping[str, str]:
        """Make what a launch needs, look up the rest; return it for the orders.

        Everything is looked up before anything is made. What exists under the
        user's name is used if it is equal, never changed or deleted; what is missing
        is made as `<name>-<first 8 of cluster id>`. Repeating it makes nothing new.
        Raises `InvalidRequestError` for what does not exist or does not match; after
        that, or `UnauthorizedError`, nothing that it made is left.
        """

    @abstractmethod
    async def launch(self, order: LaunchOrder) -> Launched:
        """Launch a batch, tagged in the create call itself.

        A part may be launched; then `refused` says why the rest was not. Raises a
        `ProviderError` if nothing was launched, `UnknownOutcomeError` if that is not
        known. With the same token it launches nothing new (capability `tokens`) and
        returns what the first call launched.
        """

    @abstractmethod
    async def find(
        self, *, token: str | None = None, cluster_id: str | None = None
    ) -> Sequence[Instance]:
        """Return what exists of an order or a cluster; without either, all of ours.

        Includes instances in every state but terminated. Instances launched less
        than `settle_window` ago may be missing; if others may be (a region that does
        not answer), it raises `TransientError` instead of a part.
        """

    @abstractmethod
    async def describe(
        self, cluster_id: str, awaited: Collection[str]
    ) -> Sequence[Instance]:
        """Return the cluster's instances in as few requests as there can be.

        `awaited` are the ids that the caller waits for: a cloud that can filter
        need not return others, nor those of which there is no news: still pending.
        One that ended by itself (reclaimed, refused after the
        call was accepted) may be returned as failed, with its fault.
        """

    async def finish(self, instances: Sequence[Instance]) -> Sequence[Instance]:
        """Do the second step that running instances may need (floating addresses).

        Returns them as they are then, in the same order. Repeating it is safe and makes
        nothing new. Raises `ProviderError`: that is these instances' bad luck alone.
        """
        return instances

    @abstractmethod
    async def terminate(self, ids: Sequence[str]) -> None:
        """Terminate in batches; an id that is unknown or gone is success."""

    async def pause(self, ids: Sequence[str]) -> None:
        """Stop instances and keep their disks (capability `pause`).

        Ids that are unknown, and instances that are paused already, are success.
        """
        raise AssertionError("capability `pause` is not declared")

    async def resume(self, ids: Sequence[str]) -> None:
        """Start paused instances again (capability `pause`).

        Ids that are unknown, and instances that run already, are success.
        """
        raise AssertionError("capability `pause` is not declared")

    async def host_keys(self, ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return public host keys read over the cloud's own channel.

        Ids whose keys are not there yet are left out (capability `cloud_host_keys`).
        """
        raise AssertionError("capability `cloud_host_keys` is not declared")

    @abstractmethod
    async def retag(self, ids: Sequence[str], *, repository: str) -> None:
        """Write another repository's id into the tags of instances.

        For a cluster that is saved into another repository than it was launched
        from: else that one's clean-up would take its instances for orphans.
        """

    @abstractmethod
    async def cleanup(self, cluster_id: str) -> None:
        """Delete what `prepare` made for this cluster; called when no instance is left.

        Nothing to delete is success.
        """

    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """Return the keyword arguments that rebuild this provider, never a secret."""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Hold open what the coroutines need (clients, pools) for the block.

        Nested and concurrent use is counted; the last one closes. The default holds
        nothing.
        """
        yield
