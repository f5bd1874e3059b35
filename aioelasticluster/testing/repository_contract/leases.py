"""What a repository promises of leases and fences."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from aioelasticluster._process import ProcessIdentity
from aioelasticluster.errors import ClusterBusyError, LeaseLostError
from aioelasticluster.model.records import Change
from aioelasticluster.repositories.base import AbstractClusterRepository, Lease
from aioelasticluster.testing.repository_contract.fixtures import (
    Acting,
    RepositoryFixtures,
)
from aioelasticluster.testing.repository_contract.samples import head_of, whole


class LeasePromises(RepositoryFixtures):
    """Who may write, and who may not any more."""

    async def test_a_lease_names_its_holder_and_its_end(
        self, repository: AbstractClusterRepository
    ) -> None:
        """`expires` is wall-clock time."""
        before = time.time()
        lease = await repository.acquire("demo", ttl=30)
        assert lease.name == "demo"
        assert lease.holder == ProcessIdentity.current()
        assert before + 30 <= lease.expires <= time.time() + 30

    async def test_a_process_does_not_get_a_lease_twice(
        self, repository: AbstractClusterRepository
    ) -> None:
        """Two operations of one process must not work on one cluster."""
        lease = await repository.acquire("demo", ttl=30)
        with pytest.raises(ClusterBusyError) as raised:
            await repository.acquire("demo", ttl=30)
        assert raised.value.name == "demo"
        assert "this process" in raised.value.holder
        await repository.acquire("other", ttl=30)  # another cluster is no matter
        await repository.transaction(lease, whole())  # and the first still holds

    async def test_only_one_of_many_at_once_gets_the_lease(
        self, repository: AbstractClusterRepository
    ) -> None:
        """The rest is told that the cluster is busy."""
        tries = [repository.acquire("demo", ttl=30) for _ in range(10)]
        got = await asyncio.gather(*tries, return_exceptions=True)
        leases = [item for item in got if isinstance(item, Lease)]
        busy = [item for item in got if isinstance(item, ClusterBusyError)]
        assert (len(leases), len(busy)) == (1, 9)

    async def test_a_remote_holder_keeps_its_lease(
        self,
        repository: AbstractClusterRepository,
        remote: ProcessIdentity,
        acting: Acting,
    ) -> None:
        """The error names it, for nobody here can look whether it lives."""
        us = ProcessIdentity.current()
        acting(remote)
        await repository.acquire("demo", ttl=30)
        acting(us)
        with pytest.raises(ClusterBusyError) as raised:
            await repository.acquire("demo", ttl=30)
        assert str(remote) in raised.value.holder
        assert "s" in raised.value.holder.rpartition(str(remote))[2]  # for how long

    async def test_a_dead_holder_is_taken_over_at_once(
        self,
        repository: AbstractClusterRepository,
        ended: ProcessIdentity,
        acting: Acting,
    ) -> None:
        """Its lease has an hour to go, but nobody will come back for it."""
        us = ProcessIdentity.current()
        acting(ended)
        dead = await repository.acquire("demo", ttl=3600)
        await repository.transaction(dead, whole())
        acting(us)
        lease = await repository.acquire("demo", ttl=30)
        assert lease.fence > dead.fence
        assert lease.holder == us
        assert await repository.load("demo") == whole().applied(None)

    async def test_an_expired_lease_is_taken_over(
        self,
        repository: AbstractClusterRepository,
        remote: ProcessIdentity,
        acting: Acting,
    ) -> None:
        """Also by the process that let it expire."""
        us = ProcessIdentity.current()
        acting(remote)
        first = await repository.acquire("demo", ttl=0)
        second = await repository.acquire("demo", ttl=0)
        acting(us)
        third = await repository.acquire("demo", ttl=30)
        assert first.fence < second.fence < third.fence

    async def test_who_was_taken_over_changes_nothing_any_more(
        self, repository: AbstractClusterRepository
    ) -> None:
        """Neither writing nor forgetting nor renewing; releasing does nothing."""
        lost = await repository.acquire("demo", ttl=0)
        await repository.transaction(lost, whole())
        ours = await repository.acquire("demo", ttl=30)
        with pytest.raises(LeaseLostError):
            await repository.transaction(lost, Change(head=head_of(identity="stale")))
        with pytest.raises(LeaseLostError):
            await repository.forget(lost)
        with pytest.raises(LeaseLostError):
            await repository.renew(lost, ttl=30)
        await repository.release(lost)
        assert await repository.load("demo") == whole().applied(None)
        with pytest.raises(ClusterBusyError):
            await repository.acquire("demo", ttl=30)
        await repository.transaction(ours, Change(removed_nodes=("compute001",)))

    async def test_an_expired_lease_that_nobody_took_over_still_writes(
        self, repository: AbstractClusterRepository
    ) -> None:
        """It may be renewed too, and then it holds again."""
        lease = await repository.acquire("demo", ttl=0)
        await repository.transaction(lease, whole())
        renewed = await repository.renew(lease, ttl=30)
        assert (renewed.name, renewed.fence) == ("demo", lease.fence)
        assert renewed.expires > lease.expires
        with pytest.raises(ClusterBusyError):
            await repository.acquire("demo", ttl=30)
        await repository.transaction(renewed, Change(removed_nodes=("compute001",)))

    async def test_renewing_never_shortens_a_lease(
        self, repository: AbstractClusterRepository
    ) -> None:
        """Whoever renews for a moment keeps what it had."""
        lease = await repository.acquire("demo", ttl=600)
        assert (await repository.renew(lease, ttl=1)).expires >= lease.expires
        assert (await repository.renew(lease, ttl=900)).expires > lease.expires

    async def test_a_released_lease_is_free_for_the_next(
        self, repository: AbstractClusterRepository
    ) -> None:
        """Releasing it again is success, and takes nothing from the next holder."""
        first = await repository.acquire("demo", ttl=30)
        await repository.release(first)
        await repository.release(first)
        second = await repository.acquire("demo", ttl=30)
        assert second.fence > first.fence
        await repository.release(first)
        with pytest.raises(ClusterBusyError):
            await repository.acquire("demo", ttl=30)
        with pytest.raises(LeaseLostError):
            await repository.renew(first, ttl=30)

    async def test_a_fence_never_comes_back(
        self, repository: AbstractClusterRepository, tmp_path: Path
    ) -> None:
        """Not after a release, nor a deleted record, nor in another handle."""
        fences = []
        for again in range(4):
            use = repository
            if again % 2 and self.persistent:
                use = self.make(tmp_path)
            async with use:
                lease = await use.acquire("demo", ttl=30)
                await use.transaction(lease, whole())
                await use.forget(lease)
                await use.release(lease)
            fences.append(lease.fence)
        assert fences == sorted(set(fences))

    async def test_a_lease_that_was_never_granted_is_refused(
        self, repository: AbstractClusterRepository
    ) -> None:
        """Nothing is written under a made-up fence."""
        holder = ProcessIdentity.current()
        false = Lease(name="demo", fence=7, holder=holder, expires=time.time() + 30)
        with pytest.raises(LeaseLostError):
            await repository.transaction(false, whole())
        with pytest.raises(LeaseLostError):
            await repository.forget(false)
        with pytest.raises(LeaseLostError):
            await repository.renew(false, ttl=30)
        await repository.release(false)
        assert list(await repository.load_all()) == []
