"""The embedded cloud as a provider: instances are processes of the current user."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from aioelasticluster._aio.shared import Shared
from aioelasticluster.errors import (
    CapacityError,
    ConfigurationError,
    ProviderError,
    ThrottledError,
    TransientError,
    UnknownOutcomeError,
)
from aioelasticluster.model.capabilities import Capabilities
from aioelasticluster.model.records import NodeSpec
from aioelasticluster.model.tags import PREFIX, Tags
from aioelasticluster.providers.base import (
    AbstractCloudProvider,
    Instance,
    InstanceState,
    Launched,
    LaunchOrder,
    Preparation,
)
from aioelasticluster.providers.faults import FaultPlan
from aioelasticluster.providers.local.client import (
    ERRORS,
    LineLostError,
    ParentClient,
    on_disk,
)
from aioelasticluster.providers.local.environment import base_interpreter, user_name
from aioelasticluster.providers.local.keystore import KeyStore
from aioelasticluster.providers.local.layout import StateFolder

T = TypeVar("T")

#: Tags that say who asked, not what for: a repeat from elsewhere is the same order.
_OF_THE_CALLER = frozenset({f"{PREFIX}owner", f"{PREFIX}repository"})

_REFUSALS = ("capacity", "invalid", "quota", "unauthorized")


class LocalCloudProvider(AbstractCloudProvider):
    """A cloud on this machine: every instance is a real SSH server process.

    An instance runs as the current user, accepts any login name with the right key,
    and has its own host key, home, log and (on Linux) loopback address. Instances
    outlive this process. `state_dir` holds all state, by default in the user's own
    state folder; `faults` makes the cloud misbehave for tests.

    An instance whose server was killed from outside is described as failed until it
    is terminated, which also ends what its sessions have left.
    """

    adapter: ClassVar[str] = "local"
    capabilities = Capabilities(
        pause=True,
        user_data=True,
        tokens=True,
        root=False,
        systemd=False,
        python=base_interpreter(),
    )
    max_batch = 100
    settle_window = 1.0
    launch_patience = 60.0
    poll_pauses = end_pauses = (0.05, 0.15)

    def __init__(
        self,
        state_dir: str | os.PathLike[str] | None = None,
        *,
        faults: FaultPlan | None = None,
    ) -> None:
        self._faults = faults or FaultPlan()
        if self._faults.refuse and self._faults.refuse not in _REFUSALS:
            raise ConfigurationError(
                "refuse",
                self._faults.refuse,
                "not a reason to refuse",
                f"Use one of {', '.join(_REFUSALS)}",
            )
        path = Path(state_dir).expanduser() if state_dir else _default_state_dir()
        self._folder = StateFolder(path.absolute())
        self._keys = KeyStore(self._folder)
        self._client = Shared(self._calling)
        self._tags: dict[str, Tags | None] = {}
        self._launches = 0
        self._lost_answers = 0
        self.settle_window = type(self).settle_window + self._faults.list_lag

    def __repr__(self) -> str:
        return f"LocalCloudProvider({str(self._folder.path)!r})"

    def settings(self) -> Mapping[str, Any]:
        """Return where the state lies; faults are not recorded."""
        return {"state_dir": str(self._folder.path)}

    def log_of(self, instance_id: str) -> Path:
        """Return an instance's log: one JSON object a line, with `at` and `event`."""
        return self._folder.instance(instance_id).log

    def check_options(self, spec: NodeSpec) -> None:
        """Raise `ConfigurationError` for any option: there are none."""
        for name, value in spec.options.items():
            raise ConfigurationError(
                name,
                value,
                "LocalCloudProvider has no such option",
                "It has no options at all: leave it out",
            )

    async def identity(self) -> str:
        """Return user, host and folder: what tells one local cloud from another."""
        return f"local:{user_name()}@{socket.gethostname()}:{self._folder.path}"

    async def prepare(self, preparation: Preparation) -> Mapping[str, str]:
        """Store the public key, as a cloud's key pairs do."""
        name = await self._on_disk(
            lambda: self._keys.provide(
                preparation.key_name, preparation.public_key, preparation.cluster_id
            )
        )
        return {"key_name": name}

    async def cleanup(self, cluster_id: str) -> None:
        """Remove the cluster's key pair."""
        await self._on_disk(lambda: self._keys.remove(cluster_id))

    async def launch(self, order: LaunchOrder) -> Launched:
        """Fork the order's instances; the token makes a repeat harmless."""
        self._misbehave()
        async with self._client() as client:
            try:
                answer = await client.request(
                    "launch", self._request(order), start=True
                )
            except LineLostError as fault:
                raise UnknownOutcomeError(str(fault)) from fault
        assert answer is not None
        if self._lost_answers < self._faults.lost_answers:
            self._lost_answers += 1
            raise UnknownOutcomeError("the answer was lost, as the fault plan says")
        refused = answer["refused"]
        return Launched(
            instances=self._instances(answer),
            refused=CapacityError(refused, flavor=order.spec.flavor)
            if refused
            else None,
        )

    def _misbehave(self) -> None:
        """Refuse a launch where the fault plan says so."""
        self._launches += 1
        if self._launches <= self._faults.throttle:
            raise ThrottledError("too many requests, as the fault plan says")
        if self._faults.refuse:
            raise ERRORS[self._faults.refuse]("refused, as the fault plan says")

    def _request(self, order: LaunchOrder) -> dict[str, Any]:
        tags = order.tags.encoded()
        same = {key: value for key, value in tags.items() if key not in _OF_THE_CALLER}
        names = list(order.names)
        parts = [asdict(order.spec), same, order.user_data, order.public_key, names]
        text = json.dumps([*parts, order.zone], sort_keys=True, default=repr)
        return {
            "token": order.token,
            "digest": hashlib.sha256(text.encode()).hexdigest(),
            "names": names,
            "tags": tags,
            "zone": order.zone,
            "user_data": order.user_data,
            "public_key": order.public_key,
            "capacity": self._faults.capacity,
            "faults": {
                "boot_delay": {name: self._faults.delay_of(name) for name in names},
                "list_lag": self._faults.list_lag,
                "broken": [name for name in names if name in self._faults.broken],
                "dead": [name for name in names if name in self._faults.dead],
                "wrong_host_key": [
                    name for name in names if name in self._faults.wrong_host_key
                ],
            },
        }

    async def find(
        self, *, token: str | None = None, cluster_id: str | None = None
    ) -> Sequence[Instance]:
        """Return the instances of a token, a cluster, or of the whole state folder."""
        answer = await self._ask("find", {"token": token, "cluster": cluster_id})
        return self._instances(answer) if answer else ()

    async def describe(
        self, cluster_id: str, awaited: Collection[str]
    ) -> Sequence[Instance]:
        """Return all of the cluster's instances, in one request."""
        return await self.find(cluster_id=cluster_id)

    async def terminate(self, ids: Sequence[str]) -> None:
        """Begin to end instances: every process of theirs, then their folders."""
        await self._ask("terminate", {"ids": list(ids)})

    async def pause(self, ids: Sequence[str]) -> None:
        """Stop every process of instances where it is (SIGSTOP)."""
        await self._ask("pause", {"ids": list(ids)})

    async def resume(self, ids: Sequence[str]) -> None:
        """Let every process of instances go on (SIGCONT)."""
        await self._ask("resume", {"ids": list(ids)})

    async def retag(self, ids: Sequence[str], *, repository: str) -> None:
        """Write another repository's id into the tags."""
        tags = {f"{PREFIX}repository": repository}
        await self._ask("retag", {"ids": list(ids), "tags": tags})

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Keep the line to the parent process for the block."""
        async with self._client():
            yield

    @asynccontextmanager
    async def _calling(self) -> AsyncIterator[ParentClient]:
        client = ParentClient(self._folder)
        try:
            yield client
        finally:
            client.close()

    async def _ask(self, verb: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """Ask about what exists; None if nothing does."""
        async with self._client() as client:
            try:
                return await client.request(verb, body, start=False)
            except (LineLostError, UnknownOutcomeError) as fault:
                raise TransientError(str(fault)) from fault

    async def _on_disk(self, work: Callable[[], T]) -> T:
        """Do file work in a thread; its faults become ours."""

        def guarded() -> T:
            try:
                return work()
            except OSError as fault:
                raise TransientError(f"{self._folder.path}: {fault}") from fault

        return await on_disk(guarded)

    def _instances(self, answer: Mapping[str, Any]) -> tuple[Instance, ...]:
        tags = [self._decoded(plain) for plain in answer["tags"]]
        return tuple(
            Instance(
                id=item["id"],
                state=InstanceState(item["state"]),
                index=item["index"],
                addresses=(item["address"],),
                ssh_port=item["port"],
                zone=item["zone"],
                fault=ProviderError(item["fault"]) if item["fault"] else None,
                tags=tags[item["tags"]],
            )
            for item in answer["instances"]
        )

    def _decoded(self, plain: Mapping[str, str]) -> Tags | None:
        """Decode tags; the same ones come with every poll, so they are kept."""
        key = json.dumps(plain)
        if key not in self._tags:
            self._tags[key] = Tags.decoded(plain)
        return self._tags[key]


def _default_state_dir() -> Path:
    from platformdirs import user_state_path

    return user_state_path("aioelasticluster") / "local"
