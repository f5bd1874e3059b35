"""The promises of AbstractClusterRepository as tests; every adapter must pass them.

For an adapter of your own::

    class TestMyRepository(RepositoryContract):
        def make(self, folder: Path) -> MyRepository:
            return MyRepository(folder / "clusters")

The tests are coroutines that anyio's pytest plugin runs on asyncio.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import anyio
import pytest

from aioelasticluster._process import ProcessIdentity
from aioelasticluster.errors import (
    ClusterBusyError,
    ClusterNotFoundError,
    ConfigurationError,
    LeaseLostError,
)
from aioelasticluster.model.records import (
    AdapterSettings,
    Change,
    ClusterHead,
    ClusterRecord,
    NodeRecord,
    NodeSpec,
    OrderRecord,
    OrderState,
)
from aioelasticluster.model.states import NodeState, Target
from aioelasticluster.repositories.base import AbstractClusterRepository, Lease
from aioelasticluster.testing.cancelling import WAYS, cancelled

SPEC = NodeSpec(
    kind="compute",
    image_id="img-1",
    image_user="ubuntu",
    flavor="small",
    security_group="default",
    image_userdata="#cloud-config\n# naïve ☃\n",
    options={"spot": True, "price": 0.25, "zones": ["a", "b"], "none": None},
)

Acting = Callable[[ProcessIdentity], None]


def head_of(name: str = "demo", identity: str = "here") -> ClusterHead:
    """Return the head of a cluster."""
    provider = AdapterSettings(adapter="local", settings={"deep": {"list": [1, None]}})
    setup = AdapterSettings(adapter="ansible")
    return ClusterHead(
        id=f"id-of-{name}",
        name=name,
        identity=identity,
        created=1700000000.25,
        attempt=3,
        provider=provider,
        setup=setup,
    )


def node_of(name: str, instance_id: str = "") -> NodeRecord:
    """Return a node of which much is known."""
    return NodeRecord(
        name=name,
        spec=SPEC,
        state=NodeState.BOOTING,
        instance_id=instance_id,
        token="0123abcd",
        addresses=("10.0.0.1", "2001:db8::1"),
        ssh_port=2222,
        host_keys=("ssh-ed25519 AAAA", "ssh-ed25519 BBBB"),
        fault="no route to host",
    )


def order_of(token: str, state: OrderState = OrderState.INTENDED) -> OrderRecord:
    """Return a launch order."""
    names = ("compute001", "compute002")
    return OrderRecord(token=token, zone="a", names=names, written=1.5, state=state)


def whole(name: str = "demo") -> Change:
    """Return a change that makes a record with all that there can be."""
    return Change(
        head=head_of(name),
        nodes=(node_of("compute001", "i-1"), node_of("compute002", "i-2")),
        orders=(order_of("t1"), order_of("t2", OrderState.DONE)),
    )


@pytest.mark.anyio
class RepositoryContract(ABC):
    """Subclass it, and let `make` return your repository."""

    #: Whether a repository made anew for the same folder has the same records.
    persistent: ClassVar[bool] = True

    @abstractmethod
    def make(self, folder: Path) -> AbstractClusterRepository:
        """Return a repository kept in an empty folder, or again the one kept there."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        """Run on asyncio, the one loop that the library knows."""
        return "asyncio"

    @pytest.fixture
    def closed_repository(self, tmp_path: Path) -> AbstractClusterRepository:
        """Return a repository that nobody has opened."""
        return self.make(tmp_path)

    @pytest.fixture
    async def repository(
        self, closed_repository: AbstractClusterRepository
    ) -> AsyncIterator[AbstractClusterRepository]:
        """Keep a repository open for the test."""
        async with closed_repository:
            yield closed_repository

    @pytest.fixture
    def acting(self, monkeypatch: pytest.MonkeyPatch) -> Acting:
        """Let this process pass for another one from now on."""

        def act(identity: ProcessIdentity) -> None:
            monkeypatch.setattr(ProcessIdentity, "current", lambda: identity)

        return act

    @pytest.fixture
    def ended(self) -> ProcessIdentity:
        """Return a process of this host that has ended."""
        child = subprocess.Popen([sys.executable, "-c", ""])
        child.wait()
        return replace(ProcessIdentity.current(), pid=child.pid, start="1")

    @pytest.fixture
    def remote(self) -> ProcessIdentity:
        """Return a process of another host: nobody can tell whether it lives."""
        return replace(ProcessIdentity.current(), host="elsewhere0")

    # Records

    async def test_a_missing_cluster_is_not_found(
        self, repository: AbstractClusterRepository
    ) -> None:
        """`load` raises an error that is a LookupError and knows the name."""
        with pytest.raises(ClusterNotFoundError) as raised:
            await repository.load("demo")
        assert raised.value.name == "demo"
        assert list(await repository.load_all()) == []

    async def test_a_record_comes_back_as_it_was_written(
        self, repository: AbstractClusterRepository
    ) -> None:
        """Every field of head, nodes and orders survives, and the nodes' order."""
        lease = await repository.acquire("demo", ttl=30)
        await repository.transaction(lease, whole())
        found = await repository.load("demo")
        assert found == whole().applied(None)
        assert list(found.nodes) == ["compute001", "compute002"]
        assert isinstance(found.nodes["compute001"].state, NodeState)
        assert isinstance(found.head.target, Target)

    async def test_the_first_change_must_carry_the_head(
        self, repository: AbstractClusterRepository
    ) -> None:
        """Without it there is nothing that a record could be made of."""
        lease = await repository.acquire("demo", ttl=30)
        with pytest.raises(ValueError, match="head"):
            await repository.transaction(lease, Change(nodes=(node_of("compute001"),)))
        assert list(await repository.load_all()) == []
        await repository.transaction(lease, whole())  # and it goes on

    async def test_what_a_change_does_not_name_stays(
        self, repository: AbstractClusterRepository
    ) -> None:
        """Heads, nodes and orders are changed each by itself."""
        lease = await repository.acquire("demo", ttl=30)
        changes = [
            whole(),
            Change(nodes=(node_of("compute002", "i-9"), node_of("compute003"))),
            Change(orders=(order_of("t1", OrderState.VOID), order_of("t3"))),
            Change(head=head_of(identity="elsewhere")),
            Change(removed_nodes=("compute001", "never-was")),
            Change(),
            Change(nodes=(node_of("compute001", "i-7"),)),
        ]
        expected: ClusterRecord | None = None
        for change in changes:
            await repository.transaction(lease, change)
            expected = change.applied(expected)
            assert await repository.load("demo") == expected

    async def test_a_node_that_is_written_and_removed_at_once_is_gone(
        self, repository: AbstractClusterRepository
    ) -> None:
        """The removal counts, as in `Change.applied`."""
        lease = await repository.acquire("demo", ttl=30)
        await repository.transaction(lease, whole())
        both = Change(nodes=(node_of("compute002"),), removed_nodes=("compute002",))
        await repository.transaction(lease, both)
        assert list((await repository.load("demo")).nodes) == ["compute001"]

    async def test_clusters_do_not_mix_and_come_by_name(
        self, repository: AbstractClusterRepository
    ) -> None:
        """Two clusters may have nodes and orders of the same names."""
        for name in ("zeta", "alpha", "mid-1"):
            lease = await repository.acquire(name, ttl=30)
            await repository.transaction(lease, whole(name))
            await repository.release(lease)
        found = await repository.load_all()
        assert [record.head.name for record in found] == ["alpha", "mid-1", "zeta"]
        assert list(found) == [
            whole(name).applied(None) for name in ("alpha", "mid-1", "zeta")
        ]

    async def test_a_forgotten_cluster_is_gone_with_all_its_parts(
        self, repository: AbstractClusterRepository
    ) -> None:
        """Other clusters stay; a record made later inherits nothing."""
        other = await repository.acquire("other", ttl=30)
        await repository.transaction(other, whole("other"))
        lease = await repository.acquire("demo", ttl=30)
        await repository.transaction(lease, whole())
        await repository.forget(lease)
        with pytest.raises(ClusterNotFoundError):
            await repository.load("demo")
        assert [r.head.name for r in await repository.load_all()] == ["other"]
        await repository.transaction(lease, Change(head=head_of()))
        assert await repository.load("demo") == ClusterRecord(head=head_of())

    async def test_forgetting_no_record_is_success(
        self, repository: AbstractClusterRepository
    ) -> None:
        """A repeated clean-up does not fail."""
        lease = await repository.acquire("demo", ttl=30)
        await repository.forget(lease)
        await repository.forget(lease)

    async def test_forgetting_keeps_the_lease(
        self, repository: AbstractClusterRepository
    ) -> None:
        """Nobody else gets the name before it is released."""
        lease = await repository.acquire("demo", ttl=30)
        await repository.transaction(lease, whole())
        await repository.forget(lease)
        with pytest.raises(ClusterBusyError):
            await repository.acquire("demo", ttl=30)
        await repository.renew(lease, ttl=60)
        with pytest.raises(ValueError, match="head"):
            await repository.transaction(lease, Change())

    @pytest.mark.parametrize("name", ["../demo", "a/b", "", ".", "x" * 61, "a\0b", "ä"])
    async def test_what_cannot_be_a_clusters_name_is_refused(
        self, repository: AbstractClusterRepository, name: str
    ) -> None:
        """A name becomes part of host names, and in some adapters of paths."""
        with pytest.raises(ConfigurationError):
            await repository.acquire(name, ttl=30)
        with pytest.raises(ClusterNotFoundError):
            await repository.load(name)

    async def test_large_clusters_come_back_whole(
        self, repository: AbstractClusterRepository
    ) -> None:
        """A thousand nodes in one change."""
        names = [f"compute{index:04d}" for index in range(1000)]
        lease = await repository.acquire("demo", ttl=30)
        nodes = tuple(map(node_of, names))
        await repository.transaction(lease, Change(head=head_of(), nodes=nodes))
        assert list((await repository.load("demo")).nodes) == names

    # Leases

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

    # Identity and life

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
