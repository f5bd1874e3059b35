"""Few transactions, nothing forgotten, nothing written by those who lost the lease."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest

from aioelasticluster import LeaseLostError, RepositoryError
from aioelasticluster._aio.tasks import accompanied, task_group
from aioelasticluster.engine.journal import INTERVAL, Journal
from aioelasticluster.model.events import Event, NodeMoved
from aioelasticluster.model.records import (
    AdapterSettings,
    Change,
    ClusterHead,
    ClusterRecord,
    NodeRecord,
    NodeSpec,
)
from aioelasticluster.model.states import NodeState
from aioelasticluster.repositories.base import Lease
from aioelasticluster.repositories.memory import MemRepository

SPEC = NodeSpec(
    kind="compute", image_id="i", image_user="u", flavor="f", security_group="s"
)
HEAD = ClusterHead(
    id="c" * 32,
    name="demo",
    provider=AdapterSettings(adapter="fake"),
    setup=AdapterSettings(adapter="none"),
)


class CountingRepository(MemRepository):
    """Counts what is written; fails while `broken`."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[Change] = []
        self.broken = False

    async def transaction(self, lease: Lease, change: Change) -> None:
        if self.broken:
            raise RepositoryError("the disk is full")
        self.changes.append(change)
        await super().transaction(lease, change)


@asynccontextmanager
async def journal_in(
    repository: MemRepository, *, nodes: int = 3
) -> AsyncIterator[tuple[Journal, list[Event]]]:
    events: list[Event] = []
    journal = Journal(ClusterRecord(head=HEAD), events.append)
    lease = await repository.acquire("demo", ttl=60)
    journal.attach(repository, lease, ttl=60)
    names = [f"compute{index:03d}" for index in range(1, nodes + 1)]
    journal.put_nodes(*(NodeRecord(name=name, spec=SPEC) for name in names))
    yield journal, events


async def test_changes_made_together_are_written_together() -> None:
    repository = CountingRepository()
    async with journal_in(repository, nodes=50) as (journal, _):
        await journal.flush()
        async with accompanied(journal.keep()):
            for name in journal.nodes:
                journal.move(name, NodeState.LAUNCHING)
            await journal.saved()
        assert len(repository.changes) == 2


async def test_a_change_is_written_within_the_interval() -> None:
    repository = CountingRepository()
    async with journal_in(repository) as (journal, _):
        await journal.flush()
        async with accompanied(journal.keep()):
            for name in journal.nodes:
                journal.move(name, NodeState.LAUNCHING)
                await anyio.sleep(INTERVAL / 10)
            await anyio.sleep(INTERVAL)
        stored = await repository.load("demo")
        assert {n.state for n in stored.nodes.values()} == {NodeState.LAUNCHING}


async def test_a_cluster_that_nobody_recorded_is_not_recorded_by_the_way() -> None:
    repository = CountingRepository()
    async with journal_in(repository) as (journal, _):
        async with accompanied(journal.keep()):
            journal.move("compute001", NodeState.LAUNCHING)
            await anyio.sleep(10 * INTERVAL)
        assert repository.changes == []


async def test_what_could_not_be_written_is_written_by_the_next_flush() -> None:
    repository = CountingRepository()
    async with journal_in(repository) as (journal, _):
        await journal.flush()
        repository.broken = True
        journal.move("compute001", NodeState.LAUNCHING)
        with pytest.raises(RepositoryError):
            await journal.flush()
        repository.broken = False
        await journal.flush()
        stored = await repository.load("demo")
        assert stored.nodes["compute001"].state is NodeState.LAUNCHING


async def test_a_cancelled_flush_is_written_all_the_same() -> None:
    repository = CountingRepository()
    async with journal_in(repository) as (journal, _):
        task = asyncio.create_task(journal.flush())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len((await repository.load("demo")).nodes) == 3


async def test_who_lost_the_lease_writes_no_more_and_is_interrupted() -> None:
    repository = CountingRepository()
    async with journal_in(repository) as (journal, _):
        await journal.flush()
        (held,) = repository._leases.values()
        repository._leases["demo"] = replace(held, fence=held.fence + 1)

        async def operate() -> None:
            async with accompanied(journal.keep()):
                journal.move("compute001", NodeState.LAUNCHING)
                await anyio.sleep(3600)

        with pytest.raises(LeaseLostError):
            await operate()
        assert journal.lost
        stored = await repository.load("demo")
        assert stored.nodes["compute001"].state is NodeState.PLANNED


async def test_a_move_tells_the_listener_and_a_note_does_not() -> None:
    async with journal_in(MemRepository()) as (journal, events):
        journal.move("compute001", NodeState.LAUNCHING)
        journal.note("compute001", fault="slow")
        (event,) = events
        assert isinstance(event, NodeMoved)
        assert (event.before, event.after) == (NodeState.PLANNED, NodeState.LAUNCHING)


async def test_the_only_error_of_a_task_group_comes_out_as_itself() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    async def run(failures: int) -> None:
        async with task_group() as group:
            for _ in range(failures):
                group.start_soon(fail)

    with pytest.raises(ZeroDivisionError):
        await run(1)
    with pytest.raises(ExceptionGroup):
        await run(2)


async def test_a_companion_ends_with_its_block() -> None:
    ended = False

    async def work() -> None:
        nonlocal ended
        try:
            await anyio.sleep(3600)
        finally:
            ended = True

    async with accompanied(work()):
        await anyio.sleep(1)
    assert ended


async def test_a_companion_outlives_the_cancellation_of_an_anyio_scope() -> None:
    beats: list[float] = []

    async def beat() -> None:
        while True:
            beats.append(anyio.current_time())
            await anyio.sleep(1)

    async def tidy_up() -> None:
        try:
            await anyio.sleep(3600)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(5)

    with anyio.move_on_after(2):
        async with accompanied(beat()):
            await tidy_up()
    assert beats[-1] >= 6
