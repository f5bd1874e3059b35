"""Other processes that use a repository: started, told when to act, ended."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PRELUDE = """
import asyncio, sys
from aioelasticluster.errors import ClusterBusyError, RepositoryError
from aioelasticluster.model.records import Change
from aioelasticluster.repositories.pickle import PickleRepository
from aioelasticluster.repositories.sqlite import SqliteRepository
from aioelasticluster.testing.repository_contract import head_of, node_of

adapters = {"sqlite": SqliteRepository, "pickle": PickleRepository}
repository = adapters[sys.argv[1]](sys.argv[2])

def say(*words):
    print(*words, flush=True)

"""


class Child:
    """A Python process that is spoken with line by line."""

    def __init__(self, code: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + code, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, line: str = "") -> None:
        assert self.process.stdin is not None
        print(line, file=self.process.stdin, flush=True)

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        """End it as the power would, and see it gone."""
        self.process.kill()
        self.process.wait()


@contextmanager
def children(count: int, code: str, *arguments: str) -> Iterator[list[Child]]:
    """Have processes that run the code, for the block."""
    family = [Child(code, *arguments) for _ in range(count)]
    try:
        yield family
    finally:
        for child in family:
            child.kill()
            for stream in (child.process.stdin, child.process.stdout):
                if stream is not None:
                    stream.close()
