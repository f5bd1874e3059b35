"""All repositories keep the same promises."""

from __future__ import annotations

from pathlib import Path

from aioelasticluster.repositories.memory import MemRepository
from aioelasticluster.repositories.pickle import PickleRepository
from aioelasticluster.repositories.sqlite import SqliteRepository
from aioelasticluster.testing.repository_contract import RepositoryContract


class TestMemRepository(RepositoryContract):
    persistent = False

    def make(self, folder: Path) -> MemRepository:
        return MemRepository()


class TestSqliteRepository(RepositoryContract):
    def make(self, folder: Path) -> SqliteRepository:
        return SqliteRepository(folder / "clusters.db")


class TestPickleRepository(RepositoryContract):
    def make(self, folder: Path) -> PickleRepository:
        return PickleRepository(folder / "clusters")
