"""Past-tense facts about a cluster; log, progress and metrics only listen.

Every event knows its cluster's name and when it happened: `at`, wall-clock seconds
since the epoch.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from aioelasticluster.model.states import NodeState


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a cluster."""

    cluster: str
    at: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationStarted(Event):
    """A public operation (`start`, `setup`, `stop` …) began."""

    operation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationEnded(Event):
    """A public operation ended after `seconds`; `error` is empty if it succeeded."""

    operation: str
    seconds: float
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSent(Event):
    """A launch order for these nodes was saved and is now sent."""

    token: str
    nodes: tuple[str, ...]
    zone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAnswered(Event):
    """The cloud answered an order: which nodes it launched, and what it refused."""

    token: str
    launched: tuple[str, ...]
    refused: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRetried(Event):
    """The cloud asked for patience; the request is repeated after `pause` seconds."""

    request: str
    reason: str
    pause: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeMoved(Event):
    """A node went from one state to another."""

    node: str
    kind: str
    before: NodeState
    after: NodeState
    instance_id: str = ""
    address: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKeyRotated(Event):
    """A node now shows a host key of its own, made on the node."""

    node: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKeyKept(Event):
    """A node's host key could not be rotated; the batch's key stays."""

    node: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupTaskStarted(Event):
    """A set-up task began on its hosts."""

    task: str
    play: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupTaskDone(Event):
    """One host finished a set-up task.

    `status` is `ok`, `changed`, `skipped`, `failed`, `ignored` or `unreachable`;
    `message` is why it failed, or what a task had to say (Ansible's `debug`).
    """

    node: str
    task: str
    status: str
    message: str = ""
