"""What a repository promises of its id, its users, its loops and cancellation."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from aioelasticluster.errors import ClusterBusyError, LeaseLostError
from aioelasticluster.model.records import Change
from aioelasticluster.repositories.base import AbstractClusterRepository, Lease
from aioelasticluster.testing.cancelling import WAYS, cancelled
from aioelasticluster.testing.repository_contract.fixtures import RepositoryFixtures
from aioelasticluster.testing.repository_contract.samples import (
    head_of,
    node_of,
    order_of,
    whole,
)


class LifePromises(RepositoryFixtures):
    """One store, many users, none of whom stays for ever."""

    async def test_the_id_fits_into_a_tag_and_stays(
        self, repository: AbstractClusterRepository, tmp_path: Path
    ) -> None:
        """Instances are tagged with it; two repositories have two ids."""
        own = await repository.id()
        assert re.fullmatch(r"[a-z0-9_-]{8,60}", own)
        assert own.startswith("mem-") is not self.persistent
        assert await repository.id() == own
        async with self.make(tmp_path / "another") as another:
            assert await another.id() != own
        if self.persistent:
            async with self.make(tmp_path) as again:
                assert await again.id() == own

    async def test_another_handle_sees_the_same(
        self, repository: AbstractClusterRepository, tmp_path: Path
    ) -> None:
        """Records and leases are the store's, not the object's."""
        if not self.persistent:
            pytest.skip("lives and dies with its object")

        lease = await repository.acquire("demo", ttl=30)
        await repository.transaction(lease, whole())
        async with self.make(tmp_path) as again:
            assert await again.load("demo") == whole().applied(None)
            with pytest.raises(ClusterBusyError):
                await again.acquire("demo", ttl=30)
            await again.transaction(lease, Change(removed_nodes=("compute001",)))
        assert list((await repository.load("demo")).nodes) == ["compute002"]

    def test_it_serves_one_loop_after_another(
        self, closed_repository: AbstractClusterRepository
    ) -> None:
        """Nothing of the first loop is left when it has ended."""

        async def write(name: str) -> None:
            async with closed_repository.opened():
                lease = await closed_repository.acquire(name, ttl=30)
                await closed_repository.transaction(lease, whole(name))
                await closed_repository.release(lease)

        async def read() -> list[str]:
            async with closed_repository.opened():
                records = await closed_repository.load_all()
                return [record.head.name for record in records]

        asyncio.run(write("first"))
        asyncio.run(write("second"))
        assert asyncio.run(read()) == ["first", "second"]

    async def test_blocks_of_one_object_may_overlap(
        self, closed_repository: AbstractClusterRepository
    ) -> None:
        """Two coroutines that each write `async with repository` do not collide."""
        first_in, first_out = asyncio.Event(), asyncio.Event()

        async def first() -> None:
            async with closed_repository:
                first_in.set()
                await first_out.wait()

        task = asyncio.create_task(first())
        await first_in.wait()
        async with closed_repository, closed_repository:
            lease = await closed_repository.acquire("demo", ttl=30)
            first_out.set()
            await task
            await closed_repository.transaction(lease, whole())

    async def test_opening_is_counted(
        self, closed_repository: AbstractClusterRepository
    ) -> None:
        """Who leaves first does not close it for the others."""
        async with closed_repository.opened():
            async with closed_repository.opened():
                lease = await closed_repository.acquire("demo", ttl=30)
            await closed_repository.transaction(lease, whole())
        async with closed_repository.opened():
            again = await closed_repository.renew(lease, ttl=30)
        assert again.fence == lease.fence

    async def test_many_coroutines_write_at_once(
        self, repository: AbstractClusterRepository
    ) -> None:
        """No transaction is lost, none is mixed with another one."""
        lease = await repository.acquire("demo", ttl=30)
        await repository.transaction(lease, Change(head=head_of()))
        names = [f"compute{index:03d}" for index in range(40)]
        async with anyio.create_task_group() as group:
            for name in names:
                change = Change(nodes=(node_of(name),), orders=(order_of(name),))
                group.start_soon(repository.transaction, lease, change)
        found = await repository.load("demo")
        assert sorted(found.nodes) == sorted(found.orders) == names

    async def test_a_failed_transaction_does_not_disturb_those_beside_it(
        self, repository: AbstractClusterRepository
    ) -> None:
        """Each is undone by itself."""
        lease = await repository.acquire("demo", ttl=30)
        await repository.transaction(lease, whole())
        lost = replace(lease, fence=lease.fence + 1)

        def written(index: int, under: Lease) -> Change:
            return Change(nodes=(node_of(f"{under.fence}-{index}"),))

        calls = [
            repository.transaction(under, written(index, under))
            for index in range(20)
            for under in (lease, lost)
        ]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert results[::2] == [None] * 20
        assert all(isinstance(result, LeaseLostError) for result in results[1::2])
        expected = {f"{lease.fence}-{index}" for index in range(20)}
        nodes = set((await repository.load("demo")).nodes)
        assert nodes == expected | {"compute001", "compute002"}

    async def test_a_reader_sees_whole_transactions(
        self, repository: AbstractClusterRepository
    ) -> None:
        """Nodes and orders of one change come together."""
        lease = await repository.acquire("demo", ttl=30)
        await repository.transaction(lease, Change(head=head_of()))

        async def write() -> None:
            for count in range(20):
                name = f"compute{count:03d}"
                change = Change(nodes=(node_of(name),), orders=(order_of(name),))
                await repository.transaction(lease, change)

        writing = asyncio.create_task(write())
        while not writing.done():
            found = await repository.load("demo")
            assert list(found.nodes) == list(found.orders)
            await asyncio.sleep(0)
        await writing

    # Cancellation

    @pytest.mark.parametrize("way", WAYS)
    async def test_a_cancelled_transaction_is_written_whole_or_not_at_all(
        self, repository: AbstractClusterRepository, way: str
    ) -> None:
        """At whatever moment it is cancelled; and the repository goes on working."""
        lease = await repository.acquire("demo", ttl=30)
        await repository.transaction(lease, whole())
        names = ("compute001", "compute002")
        started = time.perf_counter()
        await repository.transaction(lease, whole())
        took = time.perf_counter() - started
        for moment in range(12):
            old = await repository.load("demo")
            change = Change(
                head=head_of(identity=f"at {moment}"),
                nodes=tuple(node_of(name, f"i-{moment}") for name in names),
            )
            call = repository.transaction(lease, change)
            await cancelled(way, call, after=took * moment / 10)
            assert await repository.load("demo") in (old, change.applied(old))
        await repository.transaction(lease, Change(removed_nodes=names))
        assert not (await repository.load("demo")).nodes

    @pytest.mark.parametrize("way", WAYS)
    async def test_a_cancelled_acquire_leaves_no_lease_behind(
        self, repository: AbstractClusterRepository, way: str
    ) -> None:
        """Else the next operation of this process would find itself busy."""
        started = time.perf_counter()
        await repository.release(await repository.acquire("demo", ttl=30))
        took = time.perf_counter() - started

        async def acquire(got: list[Lease]) -> None:
            got.append(await repository.acquire("demo", ttl=30))

        for moment in range(12):
            got: list[Lease] = []
            await cancelled(way, acquire(got), after=took * moment / 10)
            for lease in got or [await repository.acquire("demo", ttl=30)]:
                await repository.release(lease)

    @pytest.mark.parametrize("way", WAYS)
    async def test_a_cancelled_opening_can_be_repeated(
        self, closed_repository: AbstractClusterRepository, way: str
    ) -> None:
        """Nothing stays half open."""

        async def use() -> None:
            async with closed_repository.opened():
                await closed_repository.id()

        started = time.perf_counter()
        await use()
        took = time.perf_counter() - started
        for moment in range(8):
            await cancelled(way, use(), after=took * moment / 6)
        await use()
