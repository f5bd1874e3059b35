# ruff: noqa: ASYNC230, ASYNC240 - a test may look at files: nobody shares its loop
"""What only the pickle repository promises."""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster

from aioelasticluster.errors import (
    ClusterBusyError,
    ClusterNotFoundError,
    ConfigurationError,
    RepositoryError,
)
from aioelasticluster.model.codec import record_to_plain
from aioelasticluster.repositories import folder
from aioelasticluster.repositories.pickle import PickleRepository
from aioelasticluster.repositories.plain_pickle import dump_plain, load_plain
from aioelasticluster.testing.repository_contract import whole


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "storage"


@pytest.fixture
def repository(storage: Path) -> PickleRepository:
    return PickleRepository(storage)


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


async def write(repository: PickleRepository, name: str = "demo") -> None:
    lease = await repository.acquire(name, ttl=30)
    await repository.transaction(lease, whole(name))
    await repository.release(lease)


class Attack:
    """A pickle of it runs a command when it is read."""

    def __init__(self, proof: Path) -> None:
        self._proof = proof

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self._proof}",)


# Files


async def test_only_the_owner_may_read_what_is_made(
    repository: PickleRepository, storage: Path, no_umask: None
) -> None:
    lease = await repository.acquire("demo", ttl=30)
    await repository.transaction(lease, whole())
    modes = {file.name: file.stat().st_mode for file in storage.iterdir()}
    assert {name: oct(stat.S_IMODE(mode)) for name, mode in modes.items()} == {
        ".lock": "0o600",
        "demo.lease": "0o600",
        "demo.pickle": "0o600",
        "repository.json": "0o600",
    }
    assert stat.S_IMODE(storage.stat().st_mode) == 0o700


async def test_a_cluster_is_one_file_and_leaves_none(
    repository: PickleRepository, storage: Path
) -> None:
    await write(repository)
    own = {".lock", "repository.json"}
    assert {file.name for file in storage.iterdir()} - own == {"demo.pickle"}
    lease = await repository.acquire("demo", ttl=30)
    await repository.forget(lease)
    await repository.release(lease)
    assert {file.name for file in storage.iterdir()} == own


async def test_reading_makes_no_files(
    repository: PickleRepository, storage: Path
) -> None:
    with pytest.raises(ClusterNotFoundError):
        await repository.load("demo")
    assert list(await repository.load_all()) == []
    assert not storage.exists()


async def test_what_a_killed_writer_left_is_neither_read_nor_in_the_way(
    repository: PickleRepository, storage: Path
) -> None:
    await write(repository)
    (storage / ".demo.pickle.new").write_bytes(b"half a rec")
    (storage / ".other.pickle.new").write_bytes(b"half a rec")
    assert [record.head.name for record in await repository.load_all()] == ["demo"]
    await write(repository)
    assert not (storage / ".demo.pickle.new").exists()


def test_an_empty_path_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="storage_dir"):
        PickleRepository("")


async def test_a_storage_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    repository = PickleRepository(tmp_path / "file")
    with pytest.raises(RepositoryError, match="cannot be used") as raised:
        await repository.acquire("demo", ttl=30)
    assert isinstance(raised.value.__cause__, OSError)
    with pytest.raises(RepositoryError, match="cannot be used"):
        await repository.load("demo")


async def test_it_does_not_block_the_loop(repository: PickleRepository) -> None:
    guard = BlockBuster()
    guard.activate()
    try:
        await write(repository)
        await repository.load_all()
        await repository.id()
    finally:
        guard.deactivate()


# Plain data only


async def test_a_pickle_that_attacks_is_refused_and_runs_nothing(
    repository: PickleRepository, storage: Path, tmp_path: Path
) -> None:
    await write(repository)
    proof = tmp_path / "proof"
    attack = pickle.dumps(Attack(proof))
    (storage / "demo.pickle").write_bytes(attack)
    with pytest.raises(RepositoryError, match=r"demo\.pickle .* only plain data"):
        await repository.load("demo")
    assert not proof.exists()
    pickle.loads(attack)  # the attack is a real one
    assert proof.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("what", [ValueError("x"), print, Path("/"), object(), 1j])
def test_no_class_or_function_is_admitted(what: object, protocol: int) -> None:
    data = pickle.dumps({"deep": [what]}, protocol=protocol)
    with pytest.raises(RepositoryError, match="only plain data"):
        load_plain(data)


def test_plain_data_comes_back() -> None:
    plain = {"a": [1, 2.5, None, True, "ü"], "b": {"c": []}}
    assert load_plain(dump_plain(plain)) == plain


@pytest.mark.parametrize("length", range(0, 40, 3))
def test_half_a_pickle_is_refused(length: int) -> None:
    data = dump_plain(record_to_plain(whole().applied(None)))
    with pytest.raises(RepositoryError, match="damaged"):
        load_plain(data[:length])


@pytest.mark.parametrize(
    "plain", [[], "text", None, {"head": 1}, {"head": {}, "nodes": [], "orders": []}]
)
async def test_plain_data_that_is_no_record_is_refused(
    repository: PickleRepository, storage: Path, plain: object
) -> None:
    await write(repository)
    (storage / "demo.pickle").write_bytes(dump_plain(plain))
    with pytest.raises(RepositoryError, match=r"demo\.pickle"):
        await repository.load("demo")


async def test_a_record_of_a_newer_version_is_refused(
    repository: PickleRepository, storage: Path
) -> None:
    await write(repository)
    plain = record_to_plain(whole().applied(None))
    plain["head"]["schema"] = 99
    plain["nodes"][0]["novelty"] = True
    (storage / "demo.pickle").write_bytes(dump_plain(plain))
    with pytest.raises(RepositoryError, match="schema 99"):
        await repository.load("demo")


async def test_an_unreadable_file_among_others_is_an_error_not_left_out(
    repository: PickleRepository, storage: Path
) -> None:
    await write(repository)
    (storage / "old.pickle").write_bytes(pickle.dumps(Path("/")))
    with pytest.raises(RepositoryError, match=r"old\.pickle"):
        await repository.load_all()


async def test_a_huge_file_is_not_read(
    repository: PickleRepository, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(repository)
    monkeypatch.setattr(folder, "LARGEST", 1 << 20)
    os.truncate(storage / "demo.pickle", (1 << 20) + 1)
    with pytest.raises(RepositoryError, match="larger than 1 MiB"):
        await repository.load("demo")


async def test_a_renamed_file_is_not_taken_for_another_cluster(
    repository: PickleRepository, storage: Path
) -> None:
    await write(repository)
    (storage / "demo.pickle").rename(storage / "other.pickle")
    with pytest.raises(RepositoryError, match="record of cluster 'demo'"):
        await repository.load("other")


async def test_a_name_does_not_lead_out_of_the_folder(
    repository: PickleRepository, storage: Path
) -> None:
    await write(repository)
    (storage / "sub").mkdir()
    (storage / "demo.pickle").rename(storage.parent / "demo.pickle")
    for name in ("../demo", "sub/../../demo", str(storage.parent / "demo")):
        with pytest.raises(ClusterNotFoundError):
            await repository.load(name)


# Leases and locks


async def test_a_lock_that_is_not_given_up_is_an_error(
    repository: PickleRepository, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(repository)
    monkeypatch.setattr(folder, "LOCK_TIMEOUT", 0.03)
    with open(storage / ".lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RepositoryError, match="locked by another process"):
            await repository.acquire("demo", ttl=30)
        await repository.load("demo")  # readers go on
    await repository.acquire("demo", ttl=30)


async def test_a_fence_does_not_go_back_with_a_restored_repository_file(
    repository: PickleRepository, storage: Path
) -> None:
    for _ in range(3):
        await write(repository)
    old = (storage / "repository.json").read_bytes()
    leases = [await repository.acquire("demo", ttl=0) for _ in range(3)]
    (storage / "repository.json").write_bytes(old)
    assert (await repository.acquire("demo", ttl=30)).fence > leases[-1].fence


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"id": 1, "fence": 1}', '{"id": "a"}']
)
async def test_a_damaged_repository_file_is_refused_not_replaced(
    repository: PickleRepository, storage: Path, text: str
) -> None:
    await write(repository)
    (storage / "repository.json").write_text(text)
    with pytest.raises(RepositoryError, match="damaged"):
        await repository.id()
    assert (storage / "repository.json").read_text() == text


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "demo", "fence": "x"}'])
async def test_a_damaged_lease_is_refused_not_taken_for_free(
    repository: PickleRepository, storage: Path, text: str
) -> None:
    lease = await repository.acquire("demo", ttl=30)
    (storage / "demo.lease").write_text(text)
    with pytest.raises(RepositoryError):
        await repository.acquire("demo", ttl=30)
    with pytest.raises(RepositoryError):
        await repository.transaction(lease, whole())


async def test_a_lease_whose_holder_nobody_knows_is_an_error(
    repository: PickleRepository, storage: Path
) -> None:
    await repository.acquire("demo", ttl=30)
    file = storage / "demo.lease"
    file.write_text(json.dumps({**json.loads(file.read_text()), "holder": "me"}))
    with pytest.raises(RepositoryError, match="holder"):
        await repository.acquire("demo", ttl=30)


async def test_one_process_at_a_time_whatever_the_object(
    repository: PickleRepository, storage: Path
) -> None:
    await repository.acquire("demo", ttl=30)
    with pytest.raises(ClusterBusyError):
        await PickleRepository(storage).acquire("demo", ttl=30)
