"""Instances of ours that no record knows: found by their tags, ended on request."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import anyio

from aioelasticluster._aio.polling import backoff
from aioelasticluster._process import ProcessIdentity
from aioelasticluster.errors import ConfigurationError, StopTimeoutError
from aioelasticluster.model.tags import Tags
from aioelasticluster.providers.base import AbstractCloudProvider, InstanceState
from aioelasticluster.repositories.base import AbstractClusterRepository


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """An instance with our tags whose cluster no reachable record has.

    `foreign`: it may be a colleague's, recorded where we cannot look.
    """

    instance_id: str
    node: str
    tags: Tags
    foreign: bool
    provider: AbstractCloudProvider = field(repr=False, compare=False)

    @property
    def cluster_id(self) -> str:
        """The id of its cluster."""
        return self.tags.cluster_id


async def find_orphans(
    cloud_provider: AbstractCloudProvider, repository: AbstractClusterRepository
) -> list[Orphan]:
    """List instances that no record of the repository knows; change nothing.

    Only those that this repository launched, or a process of this host that is dead
    and kept its records in memory, can be ended without naming them.
    """
    async with cloud_provider.opened(), repository.opened():
        instances = await cloud_provider.find()
        # Records are read after the cloud was asked: whatever is launched meanwhile
        # was recorded first.
        recorded = {record.head.id for record in await repository.load_all()}
        ours = await repository.id()
    return [
        Orphan(
            instance_id=instance.id,
            node=instance.name,
            tags=instance.tags,
            foreign=not (instance.tags.repository == ours or _forsaken(instance.tags)),
            provider=cloud_provider,
        )
        for instance in instances
        if instance.tags is not None
        and instance.tags.cluster_id not in recorded
        and instance.state is not InstanceState.TERMINATING
    ]


async def terminate_orphans(
    orphans: Iterable[Orphan],
    *,
    cluster_ids: Collection[str] = (),
    timeout: float = 600,
) -> None:
    """Terminate orphans, wait until they are gone, and clean up after their clusters.

    Raises `ConfigurationError` before anything is ended if a foreign one is among
    them whose cluster is not named in `cluster_ids`; `StopTimeoutError` if the cloud
    has not confirmed the end in time: what is left is still found as orphans.
    """
    chosen = list(orphans)
    for orphan in chosen:
        if orphan.foreign and orphan.cluster_id not in cluster_ids:
            raise ConfigurationError(
                "orphans",
                orphan.instance_id,
                f"belongs to cluster {orphan.tags.cluster} of another repository "
                f"({orphan.tags.repository}), perhaps a colleague's",
                f"To end it, give cluster_ids=[{orphan.cluster_id!r}]",
            )
    for provider in {
        id(orphan.provider): orphan.provider for orphan in chosen
    }.values():
        mine = [orphan for orphan in chosen if orphan.provider is provider]
        async with provider.opened():
            await provider.terminate([orphan.instance_id for orphan in mine])
            for cluster_id in sorted({orphan.cluster_id for orphan in mine}):
                of_cluster = [o for o in mine if o.cluster_id == cluster_id]
                if await _confirmed(provider, of_cluster, timeout=timeout):
                    await provider.cleanup(cluster_id)


async def _confirmed(
    provider: AbstractCloudProvider, orphans: Collection[Orphan], *, timeout: float
) -> bool:
    """Wait for the end of one cluster's orphans; tell whether nothing else is left."""
    tags = next(iter(orphans)).tags
    ids, pauses = {o.instance_id for o in orphans}, backoff(*provider.end_pauses)
    remaining = ids
    try:
        with anyio.fail_after(timeout):
            while True:
                found = await provider.find(cluster_id=tags.cluster_id)
                remaining = ids & {instance.id for instance in found}
                if not remaining:
                    return not found
                await anyio.sleep(next(pauses))
    except TimeoutError:
        raise StopTimeoutError(tags.cluster, tuple(sorted(remaining))) from None


def _forsaken(tags: Tags) -> bool:
    """Whether the only record was in the memory of a process of ours that is dead."""
    owner = ProcessIdentity.decoded(tags.owner)
    return tags.repository.startswith("mem-") and owner is not None and owner.dead
