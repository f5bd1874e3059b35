"""Launch orders: which nodes go together, under which token, with which host key."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from aioelasticluster._aio.clock import wall_clock
from aioelasticluster._process import ProcessIdentity
from aioelasticluster.engine.operation import Operation
from aioelasticluster.model.names import by_number
from aioelasticluster.model.records import NodeRecord, NodeSpec, OrderRecord
from aioelasticluster.model.states import NodeState
from aioelasticluster.model.tags import Tags, names_fit
from aioelasticluster.model.user_data import cloud_config, merged
from aioelasticluster.providers.base import LaunchOrder
from aioelasticluster.ssh.base import HostKeyPolicy
from aioelasticluster.ssh.host_keys import generate_host_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """An order as it is recorded, and as it is sent.

    Only the latter knows the private host key, and dies with this process.
    """

    record: OrderRecord
    order: LaunchOrder


def batches_of(
    nodes: Sequence[NodeRecord], max_batch: int
) -> Iterator[tuple[NodeSpec, tuple[str, ...]]]:
    """Yield specs and the names to launch by each order: equal nodes together."""
    for spec, names in by_spec(nodes):
        for batch in _fitting(sorted(names, key=by_number), max_batch):
            yield spec, batch


def by_spec(nodes: Iterable[NodeRecord]) -> list[tuple[NodeSpec, list[str]]]:
    """Return the different specs, each with the names of its nodes."""
    found: list[tuple[NodeSpec, list[str]]] = []
    for node in nodes:
        same = next((names for spec, names in found if spec == node.spec), None)
        if same is None:
            found.append((node.spec, [node.name]))
        else:
            same.append(node.name)
    return found


def _fitting(names: Sequence[str], max_batch: int) -> Iterator[tuple[str, ...]]:
    """Split names so that no batch is too big or its list too long for a tag."""
    start = 0
    while start < len(names):
        batch = tuple(names[start : start + max_batch])
        while len(batch) > 1 and not names_fit(batch):
            batch = batch[:-1]
        yield batch
        start += len(batch)


def token_of(cluster_id: str, names: Sequence[str], zone: str, attempt: int) -> str:
    """Return an order's token: 32 hex digits of a UUIDv5, the same for the same."""
    text = f"launch {','.join(names)} {zone} {attempt}"
    return uuid.uuid5(uuid.UUID(cluster_id), text).hex


def make_batch(
    op: Operation,
    spec: NodeSpec,
    names: tuple[str, ...],
    *,
    zone: str,
    public_key: str,
    resources: Mapping[str, str],
) -> Batch:
    """Make an order under a new attempt and put it into the journal, as intended.

    It may be sent when the journal is flushed, and not before.
    """
    journal = op.journal
    attempt = journal.head.attempt + 1
    token = token_of(op.cluster_id, names, zone, attempt)
    host_key, user_data = "", spec.image_userdata
    if op.policy is HostKeyPolicy.INJECTED:
        fresh = generate_host_key()
        host_key = fresh.public
        user_data = merged(cloud_config(fresh.private_openssh, fresh.public), user_data)
    order = LaunchOrder(
        token=token,
        spec=spec,
        zone=zone,
        user_data=user_data,
        public_key=public_key,
        resources=resources,
        tags=Tags(
            cluster_id=op.cluster_id,
            cluster=journal.head.name,
            repository=op.repository_id,
            owner=ProcessIdentity.current().encoded(),
            token=token,
            kind=spec.kind,
            names=names,
            login=spec.image_user,
        ),
    )
    record = OrderRecord(
        token=token,
        zone=zone,
        names=names,
        attempt=attempt,
        digest=hashlib.sha256(f"{order!r} {order.user_data}".encode()).hexdigest(),
        host_key=host_key,
        written=wall_clock(),
    )
    journal.put_head(attempt=attempt)
    journal.put_orders(record)
    for name in names:
        journal.move(
            name,
            NodeState.LAUNCHING,
            token=token,
            instance_id="",
            addresses=(),
            host_keys=(host_key,) if host_key else (),
            fault="",
        )
    return Batch(record=record, order=order)
