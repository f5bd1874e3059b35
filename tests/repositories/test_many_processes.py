"""Several real processes, one repository."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from aioelasticluster.model.records import Change
from aioelasticluster.repositories.base import AbstractClusterRepository
from aioelasticluster.repositories.pickle import PickleRepository
from aioelasticluster.repositories.sqlite import SqliteRepository
from aioelasticluster.testing.repository_contract import head_of
from tests.repositories.children import children

ADAPTERS: dict[str, type[SqliteRepository] | type[PickleRepository]] = {
    "sqlite": SqliteRepository,
    "pickle": PickleRepository,
}

ACQUIRE = """
async def main():
    await repository.id()
    say("ready")
    sys.stdin.readline()
    try:
        lease = await repository.acquire("demo", ttl=60)
        say("won", lease.fence)
    except ClusterBusyError as busy:
        say("busy", busy.holder)
    sys.stdin.readline()

asyncio.run(main())
"""

OPEN = """
import time

async def main():
    for line in sys.stdin:
        path, moment = line.split()
        repository = adapters[sys.argv[1]](path)
        while time.time() < float(moment):
            pass
        say(await repository.id())

say("ready")
asyncio.run(main())
"""

COUNT = """
async def add():
    while True:
        try:
            lease = await repository.acquire("demo", ttl=60)
            break
        except ClusterBusyError:
            await asyncio.sleep(0.002)
    so_far = (await repository.load("demo")).head.identity
    change = Change(head=head_of(identity=so_far + "+"))
    await repository.transaction(lease, change)
    await repository.release(lease)

async def main():
    say("ready")
    sys.stdin.readline()
    async with repository:
        for _ in range(10):
            await add()
    say("done")

asyncio.run(main())
"""

WRITE = """
async def main():
    async with repository:
        lease = await repository.acquire("demo", ttl=3600)
        for count in range(1000000):
            text = f"i-{count}"
            nodes = tuple(node_of(f"compute{index:03d}", text) for index in range(100))
            change = Change(head=head_of(identity=text), nodes=nodes)
            await repository.transaction(lease, change)
            say(count)

asyncio.run(main())
"""


@pytest.fixture(params=sorted(ADAPTERS))
def adapter(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def handle(adapter: str, path: Path) -> AbstractClusterRepository:
    return ADAPTERS[adapter](path)


def test_exactly_one_of_many_processes_gets_the_lease(
    adapter: str, tmp_path: Path
) -> None:
    with children(5, ACQUIRE, adapter, str(tmp_path / "store")) as family:
        assert [child.hear() for child in family] == ["ready"] * 5
        for child in family:
            child.tell("go")
        answers = [child.hear() for child in family]
        (winner,) = [
            child
            for child, answer in zip(family, answers, strict=True)
            if answer.startswith("won")
        ]
        busy = [answer for answer in answers if answer.startswith("busy process")]
        assert len(busy) == 4
        assert all(f"process {winner.process.pid} of " in answer for answer in busy)


def test_processes_that_open_a_new_repository_at_once_find_the_same_one(
    adapter: str, tmp_path: Path
) -> None:
    with children(4, OPEN, adapter, str(tmp_path / "unused")) as family:
        assert [child.hear() for child in family] == ["ready"] * 4
        for again in range(40):
            moment = time.time() + 0.003
            for child in family:
                child.tell(f"{tmp_path / str(again) / 'store'} {moment}")
            ids = {child.hear() for child in family}
            assert len(ids) == 1
            assert ids != {""}


async def test_processes_that_take_turns_lose_no_write(
    adapter: str, tmp_path: Path
) -> None:
    repository = handle(adapter, tmp_path / "store")
    lease = await repository.acquire("demo", ttl=60)
    await repository.transaction(lease, Change(head=head_of(identity="")))
    await repository.release(lease)

    def run() -> list[str]:
        with children(3, COUNT, adapter, str(tmp_path / "store")) as family:
            assert [child.hear() for child in family] == ["ready"] * 3
            for child in family:
                child.tell("go")
            return [child.hear() for child in family]

    assert await asyncio.to_thread(run) == ["done"] * 3
    assert (await repository.load("demo")).head.identity == "+" * 30


@pytest.mark.parametrize("moment", [0.0, 0.0007, 0.0021, 0.0043])
def test_a_killed_writer_leaves_the_old_or_the_new_record(
    adapter: str, tmp_path: Path, moment: float
) -> None:
    repository = handle(adapter, tmp_path / "store")
    with children(1, WRITE, adapter, str(tmp_path / "store")) as (writer,):
        for _ in range(3):
            seen = writer.hear()
        time.sleep(moment)  # the stimulus: somewhere within the next transactions
        writer.kill()

    record = asyncio.run(repository.load("demo"))
    assert len(record.nodes) == 100
    assert {node.instance_id for node in record.nodes.values()} == {
        record.head.identity
    }
    assert int(record.head.identity.removeprefix("i-")) >= int(seen)


def test_the_lease_of_a_killed_writer_is_taken_over_at_once(
    adapter: str, tmp_path: Path
) -> None:
    repository = handle(adapter, tmp_path / "store")

    async def take_over() -> None:
        lease = await repository.acquire("demo", ttl=60)
        await repository.transaction(lease, Change(head=head_of(identity="ours")))
        assert (await repository.load("demo")).head.identity == "ours"

    with children(1, WRITE, adapter, str(tmp_path / "store")) as (writer,):
        assert writer.hear() == "0"
        writer.kill()
    asyncio.run(take_over())
