"""What a repository promises of the records that it keeps."""

from __future__ import annotations

import pytest

from aioelasticluster.errors import (
    ClusterBusyError,
    ClusterNotFoundError,
    ConfigurationError,
)
from aioelasticluster.model.records import Change, ClusterRecord, OrderState
from aioelasticluster.model.states import NodeState, Target
from aioelasticluster.repositories.base import AbstractClusterRepository
from aioelasticluster.testing.repository_contract.fixtures import RepositoryFixtures
from aioelasticluster.testing.repository_contract.samples import (
    head_of,
    node_of,
    order_of,
    whole,
)


class RecordPromises(RepositoryFixtures):
    """Writing, reading and forgetting clusters."""

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
