"""A handle's hold on its cluster while operations run: clients, lease, record."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from aioelasticluster._aio.finish import finish
from aioelasticluster._log import log
from aioelasticluster.engine.journal import PATIENCE, Journal
from aioelasticluster.engine.operation import Operation
from aioelasticluster.errors import (
    ClusterExistsError,
    ClusterNotFoundError,
    ElasticlusterError,
)
from aioelasticluster.model.codec import plan_digest
from aioelasticluster.model.records import ClusterRecord, NodeRecord
from aioelasticluster.model.states import NodeState
from aioelasticluster.providers.base import AbstractCloudProvider
from aioelasticluster.repositories.base import AbstractClusterRepository
from aioelasticluster.ssh.base import AbstractTransport

#: How much longer (seconds) than one create call a lease lasts.
LEASE_MARGIN = 60.0


@asynccontextmanager
async def session(
    journal: Journal,
    repository: AbstractClusterRepository,
    provider: AbstractCloudProvider,
    transport: AbstractTransport,
) -> AsyncIterator[Operation]:
    """Open clients, take the lease and read the record; give all back at the end.

    SSH is opened by those who need it: a cluster can be stopped without its key.
    Raises `ClusterBusyError`, and `ClusterExistsError` if the name is recorded with
    another plan than the handle's.
    """
    async with repository.opened(), provider.opened():
        ttl = provider.launch_patience + LEASE_MARGIN
        lease = await repository.acquire(journal.head.name, ttl=ttl)
        journal.attach(repository, lease, ttl=ttl)
        try:
            await _read(journal, repository)
            yield Operation(
                provider=provider,
                transport=transport,
                journal=journal,
                repository_id=await repository.id(),
            )
            if journal.stored and not journal.lost:
                await journal.flush()
        finally:
            await finish(_give_back(journal, repository), patience=PATIENCE)


async def _give_back(journal: Journal, repository: AbstractClusterRepository) -> None:
    try:
        await repository.release(journal.detach())
    except ElasticlusterError as error:
        log.warning("cannot release the lease of %s: %s", journal.head.name, error)


async def _read(journal: Journal, repository: AbstractClusterRepository) -> None:
    """Bring the handle and the record together."""
    try:
        stored = await repository.load(journal.head.name)
    except ClusterNotFoundError:
        if journal.stored:
            renew(journal)
        return
    if journal.stored and stored.head.id != journal.head.id:
        raise ClusterExistsError(journal.head.name, "it was started anew meanwhile")
    added = [n for n in journal.nodes.values() if n.state is NodeState.PLANNED]
    if not journal.stored:
        _check_same_plan(journal, stored)
        added, journal.replanned = [], False
    journal.load(stored)
    journal.put_nodes(*(node for node in added if node.name not in stored.nodes))


def _check_same_plan(journal: Journal, stored: ClusterRecord) -> None:
    """Let a fresh handle have a recorded cluster only if it planned the same."""
    mine = journal.nodes
    if not mine or plan_digest(mine.values()) == stored.head.plan:
        return
    missing = sorted(set(stored.nodes) - set(mine))
    surplus = sorted(set(mine) - set(stored.nodes))
    changed = sorted(
        name
        for name in set(mine) & set(stored.nodes)
        if mine[name].spec != stored.nodes[name].spec
    )
    parts = [
        f"{label} {', '.join(names)}"
        for label, names in (
            ("not planned here:", missing),
            ("not recorded:", surplus),
            ("planned differently:", changed),
        )
        if names
    ]
    raise ClusterExistsError(journal.head.name, "; ".join(parts) or "other nodes")


def renew(journal: Journal) -> None:
    """Turn a handle on a cluster that is gone into one on a cluster to be started."""
    head = replace(
        journal.head,
        id=uuid.uuid4().hex,
        identity="",
        owner="",
        attempt=0,
        created=time.time(),
    )
    nodes = {
        name: NodeRecord(name=name, spec=node.spec)
        for name, node in journal.nodes.items()
    }
    journal.load(ClusterRecord(head=head, nodes=nodes))
    journal.stored = False
