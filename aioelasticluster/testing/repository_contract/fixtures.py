"""What the tests of the contract start from: a repository, and other processes."""

from __future__ import annotations

import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from aioelasticluster._process import ProcessIdentity
from aioelasticluster.repositories.base import AbstractClusterRepository

#: Lets this process pass for another one.
Acting = Callable[[ProcessIdentity], None]


@pytest.mark.anyio
class RepositoryFixtures(ABC):
    """The repository under test, made by the subclass."""

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
