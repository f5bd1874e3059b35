"""A cloud in memory, for faults that nothing real can produce, and for virtual time.

`FakeCloud` is the cloud itself: it outlives providers, as a real one does. A
`FakeCloudProvider` is one client of it, a `FakeTransport` reaches its instances.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from email import message_from_string
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
import anyio.lowlevel

from aioelasticluster.errors import (
    CapacityError,
    ConfigurationError,
    HostKeyError,
    InvalidRequestError,
    ProviderError,
    QuotaError,
    ThrottledError,
    UnauthorizedError,
    UnknownOutcomeError,
    UnreachableError,
)
from aioelasticluster.model.capabilities import Capabilities
from aioelasticluster.model.records import NodeSpec
from aioelasticluster.model.reports import RunResult
from aioelasticluster.providers.base import (
    AbstractCloudProvider,
    Instance,
    InstanceState,
    Launched,
    LaunchOrder,
    Preparation,
)
from aioelasticluster.providers.faults import FaultPlan
from aioelasticluster.ssh.base import (
    AbstractTransport,
    Accept,
    HostKeyPolicy,
    Reached,
    SshTarget,
)

if TYPE_CHECKING:
    import asyncssh

_REFUSALS: Mapping[str, Callable[[str], ProviderError]] = {
    "unauthorized": UnauthorizedError,
    "invalid": InvalidRequestError,
    "quota": QuotaError,
    "capacity": CapacityError,
}


@dataclass(kw_only=True)
class FakeInstance:
    """What the fake cloud knows of one instance; `up_at` and the like are loop time."""

    instance: Instance
    host_key: str
    up_at: float
    listed_at: float


@dataclass
class FakeCloud:
    """The cloud's own state, shared by its clients; `requests` counts every call."""

    account: str = "fake:account"
    instances: dict[str, FakeInstance] = field(default_factory=dict)
    orders: dict[str, tuple[str, ...]] = field(default_factory=dict)
    key_pairs: dict[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    launched: int = 0

    @property
    def running(self) -> list[str]:
        """The ids of all instances that cost money."""
        return list(self.instances)

    def close_to(self, address: str) -> FakeInstance | None:
        """Return the instance at an address, if one is up there."""
        for fake in self.instances.values():
            if address in fake.instance.addresses:
                return fake
        return None


class FakeCloudProvider(AbstractCloudProvider):
    """A client of a fake cloud; every request takes `latency` seconds of loop time.

    `tokens=False` makes it a cloud without idempotent launches, such as Nova. In the
    zones that are `full`, instances end for lack of room after they were accepted.
    """

    adapter = "fake"

    def __init__(
        self,
        cloud: FakeCloud | None = None,
        *,
        faults: FaultPlan | None = None,
        latency: float = 0.05,
        tokens: bool = True,
        root: bool = True,
        settle_window: float = 5.0,
        max_batch: int = 100,
        zones: Sequence[str] = ("",),
        full: Sequence[str] = (),
    ) -> None:
        self.cloud = cloud or FakeCloud()
        self.faults = faults or FaultPlan()
        self.latency = latency
        self.capabilities = Capabilities(pause=True, tokens=tokens, root=root)
        self.settle_window = settle_window + self.faults.list_lag
        self.max_batch = max_batch
        self.poll_pauses = self.end_pauses = (0.5, 2.0)
        self._zones = tuple(zones)
        self._full = tuple(full)
        self._throttled = 0
        self._lost = 0

    def check_options(self, spec: NodeSpec) -> None:
        """Accept no options but `zone`."""
        for name in spec.options:
            if name != "zone":
                raise ConfigurationError(
                    name, spec.options[name], "unknown option", "Options are: zone"
                )

    def zones(self, spec: NodeSpec) -> Sequence[str]:
        """Return the zones that the provider was given."""
        return self._zones

    async def identity(self) -> str:
        """Return the cloud's account."""
        await self._request("identity")
        return self.cloud.account

    async def prepare(self, preparation: Preparation) -> Mapping[str, str]:
        """Make a key pair for the cluster."""
        await self._request("prepare")
        name = f"{preparation.key_name}-{preparation.cluster_id[:8]}"
        self.cloud.key_pairs[name] = preparation.public_key
        return {"key_pair": name}

    async def launch(self, order: LaunchOrder) -> Launched:
        """Launch a batch, as the fault plan lets it."""
        await self._request("launch")
        if self._throttled < self.faults.throttle:
            self._throttled += 1
            raise ThrottledError("slow down", code="RequestLimitExceeded")
        if self.faults.refuse:
            raise _REFUSALS[self.faults.refuse](f"refused: {self.faults.refuse}")
        known = self.cloud.orders.get(order.token) if self.capabilities.tokens else None
        if known is None:
            known = self._make(order)
        await anyio.sleep(self.latency)
        if self._lost < self.faults.lost_answers:
            self._lost += 1
            raise UnknownOutcomeError("the answer was lost")
        instances = tuple(
            self._seen(self.cloud.instances[i])
            for i in known
            if i in self.cloud.instances
        )
        refused = None
        if len(known) < len(order.names):
            refused = CapacityError(
                "no room", zone=order.zone, flavor=order.spec.flavor
            )
        if not known:
            raise refused or CapacityError("no room")
        return Launched(instances=instances, refused=refused)

    def _make(self, order: LaunchOrder) -> tuple[str, ...]:
        now, cloud = self._now(), self.cloud
        capacity = self.faults.capacity
        room = len(order.names) if capacity is None else capacity - len(cloud.instances)
        made: list[str] = []
        for index, name in enumerate(order.names[: max(room, 0)]):
            cloud.launched += 1
            identifier = f"i-{cloud.launched:06d}"
            wrong = name in self.faults.wrong_host_key
            cloud.instances[identifier] = FakeInstance(
                instance=Instance(
                    id=identifier,
                    state=InstanceState.PENDING,
                    index=index,
                    addresses=(f"fake-{cloud.launched}",),
                    zone=order.zone,
                    tags=order.tags,
                ),
                host_key=fake_key("wrong") if wrong else injected(order.user_data),
                up_at=now + self.faults.delay_of(name),
                listed_at=now + self.faults.list_lag,
            )
            made.append(identifier)
        if made:
            cloud.orders[order.token] = tuple(made)
        return tuple(made)

    async def find(
        self, *, token: str | None = None, cluster_id: str | None = None
    ) -> Sequence[Instance]:
        """Return what is listed of an order, a cluster, or all."""
        await self._request("find")
        return [
            self._seen(fake)
            for fake in self.cloud.instances.values()
            if fake.listed_at <= self._now()
            and fake.instance.tags is not None
            and token in (None, fake.instance.tags.token)
            and cluster_id in (None, fake.instance.tags.cluster_id)
        ]

    async def describe(
        self, cluster_id: str, awaited: Collection[str]
    ) -> Sequence[Instance]:
        """Return those of a cluster's instances that are awaited."""
        found = await self.find(cluster_id=cluster_id)
        return [instance for instance in found if instance.id in awaited]

    async def terminate(self, ids: Sequence[str]) -> None:
        """End instances at once."""
        await self._request("terminate")
        for identifier in ids:
            self.cloud.instances.pop(identifier, None)

    async def pause(self, ids: Sequence[str]) -> None:
        """Pause instances at once."""
        await self._request("pause")
        self._put(ids, InstanceState.PAUSED)

    async def resume(self, ids: Sequence[str]) -> None:
        """Resume instances at once."""
        await self._request("resume")
        self._put(ids, InstanceState.PENDING)

    def _put(self, ids: Sequence[str], state: InstanceState) -> None:
        for identifier in ids:
            if (fake := self.cloud.instances.get(identifier)) is not None:
                fake.instance = replace(fake.instance, state=state)

    async def retag(self, ids: Sequence[str], *, repository: str) -> None:
        """Write another repository's id into tags."""
        await self._request("retag")
        for identifier in ids:
            fake = self.cloud.instances.get(identifier)
            if fake is not None and fake.instance.tags is not None:
                tags = replace(fake.instance.tags, repository=repository)
                fake.instance = replace(fake.instance, tags=tags)

    async def cleanup(self, cluster_id: str) -> None:
        """Delete the cluster's key pair."""
        await self._request("cleanup")
        for name in list(self.cloud.key_pairs):
            if name.endswith(f"-{cluster_id[:8]}"):
                del self.cloud.key_pairs[name]

    def settings(self) -> Mapping[str, Any]:
        """Return nothing: a fake cloud cannot be found again by its settings."""
        return {}

    async def _request(self, name: str) -> None:
        self.cloud.requests.append(name)
        await anyio.sleep(self.latency)

    def _seen(self, fake: FakeInstance) -> Instance:
        """Return an instance as the cloud describes it now."""
        instance = fake.instance
        if instance.state is not InstanceState.PENDING:
            return instance
        if instance.name in self.faults.broken or instance.zone in self._full:
            return replace(
                instance,
                state=InstanceState.FAILED,
                fault=CapacityError("no valid host was found"),
            )
        if fake.up_at <= self._now():
            return replace(instance, state=InstanceState.RUNNING)
        return replace(instance, addresses=())

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


class FakeTransport(AbstractTransport):
    """Reaches a fake cloud's instances; a probe takes `latency` seconds.

    `rotates=False`: the nodes let nobody change their host keys.
    """

    def __init__(
        self,
        provider: FakeCloudProvider,
        *,
        latency: float = 0.05,
        rotates: bool = True,
    ) -> None:
        self.provider = provider
        self.latency = latency
        self.rotates = rotates
        self.probes: list[str] = []

    async def load(self) -> str:
        """Return a public key that no private one belongs to."""
        await anyio.lowlevel.checkpoint()
        return fake_key("user")

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Hold nothing."""
        yield

    async def probe(self, target: SshTarget, accept: Accept | None = None) -> Reached:
        """Reach an instance that is up, and rotate its host key."""
        self.probes.append(target.node)
        await anyio.sleep(self.latency)
        fake = self.provider.cloud.close_to(target.address)
        if fake is None or target.node in self.provider.faults.dead:
            raise UnreachableError(f"no answer from {target.address}")
        tofu = target.policy is HostKeyPolicy.TOFU and not target.host_keys
        if not tofu and fake.host_key not in target.host_keys:
            raise HostKeyError(f"{target.address} shows {fake.host_key}")
        if accept is None or fake.host_key != target.rotate_from:
            return Reached(host_keys=(fake.host_key,))
        if not self.rotates:
            return Reached(host_keys=(fake.host_key,), unrotated="no sudo")
        fresh = fake_key(f"own {target.node}")
        await accept((fake.host_key, fresh))
        await anyio.sleep(self.latency)
        fake.host_key = fresh
        await anyio.sleep(self.latency)
        return Reached(host_keys=(fresh,))

    async def connect(self, target: SshTarget) -> asyncssh.SSHClientConnection:
        """Refuse: there is no SSH server behind a fake instance."""
        self._refuse(target)

    def ssh_config(
        self,
        targets: Sequence[SshTarget],
        *,
        cluster: str,
        cluster_id: str,
        known_hosts: str | Path | None,
    ) -> str:
        """Return the nodes' names: OpenSSH cannot reach what is not real."""
        return "".join(f"Host {target.node}\n" for target in targets)

    async def run(
        self,
        target: SshTarget,
        command: str,
        *,
        timeout: float | None = None,
        stdin: str = "",
    ) -> RunResult:
        """Refuse, as a result: there is no shell behind a fake instance."""
        await anyio.sleep(self.latency)
        return RunResult(node=target.node, command=command, error="not a real node")

    def _refuse(self, target: SshTarget) -> NoReturn:
        raise UnreachableError(f"{target.node} is a fake: nobody can log in")


def fake_key(text: str) -> str:
    """Return what looks like a public key, the same for the same text."""
    return f"ssh-ed25519 {base64.b64encode(text.encode()).decode()}"


def injected(user_data: str) -> str:
    """Return the public host key that user-data gives to an instance."""
    if "multipart" in user_data[:200]:
        first = next(
            part
            for part in message_from_string(user_data).walk()
            if part.get_content_subtype() == "cloud-config"
        )
        content = first.get_payload(decode=True)
        user_data = content.decode() if isinstance(content, bytes) else ""
    config = json.loads(user_data.partition("\n")[2] or "{}")
    keys = config.get("ssh_keys", {})
    return str(keys.get("ed25519_public", fake_key("of the image")))
