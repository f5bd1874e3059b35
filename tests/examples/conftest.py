"""A machine to run examples on: folders of its own, so that leftovers can be seen."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from aioelasticluster.providers.containers.building import split_tag
from aioelasticluster.providers.containers.naming import DEFAULT_TAG
from tests.hosts.contents import ask, sweep
from tests.hosts.images import TAG
from tests.hosts.running import RunningEngine
from tests.providers.local_cloud import processes_of

EXAMPLES = Path(__file__).parents[2] / "examples"

#: How long (seconds) a test may take that runs an example: the first fetches wheels.
PATIENCE = 300.0

#: How long (seconds) a process that was told to end may take to do so.
GRACE = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a run of an example came to; `idle` is from its last line to its end."""

    status: int
    lines: list[str]
    errors: str
    idle: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The folders that a program may write to, and what it runs with."""

    home: Path
    cache: Path
    temporary: Path

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of a program: all its folders are here."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("XDG_", "ANSIBLE_", "PYTHON"))
        }
        return inherited | {
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.cache),
            "XDG_STATE_HOME": str(self.home / "state"),
            "TMPDIR": str(self.temporary),
            "PYTHONUNBUFFERED": "1",
        }

    def start(
        self, example: str, *options: str, stdout: int, stderr: int | None = None
    ) -> subprocess.Popen[str]:
        """Start an example, out of reach of our terminal's signals."""
        return subprocess.Popen(
            [sys.executable, *options, str(EXAMPLES / example)],
            cwd=self.home,
            env=self.environment,
            stdout=stdout,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )

    def run(self, example: str, *options: str) -> Ran:
        """Run an example to its end."""
        lines, last = [], time.monotonic()
        with tempfile.TemporaryFile("w+") as errors:
            with self.start(
                example, *options, stdout=subprocess.PIPE, stderr=errors.fileno()
            ) as process:
                for line in process.stdout or ():
                    lines.append(line.removesuffix("\n"))
                    last = time.monotonic()
            idle = time.monotonic() - last
            errors.seek(0)
            return Ran(
                status=process.returncode, lines=lines, errors=errors.read(), idle=idle
            )

    def files(self) -> set[str]:
        """Return what lies in its folders, apart from the project's cache."""
        ours = self.cache / "aioelasticluster"
        return {
            str(path.relative_to(root))
            for root in (self.home, self.cache, self.temporary)
            for path in root.rglob("*")
            if not path.is_dir() and not path.is_relative_to(ours)
        }

    def processes(self) -> list[int]:
        """Return its processes, once those that are ending have had time to."""
        deadline = time.monotonic() + GRACE
        while (left := processes_of(self.home)) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder for all examples: wheels are fetched once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Machine]:
    """Return folders for the examples of one module; end what is left running."""
    machine = Machine(
        home=tmp_path_factory.mktemp("home"),
        cache=cache,
        temporary=Path(tempfile.mkdtemp(dir="/tmp")),  # short, for OpenSSH's sockets
    )
    yield machine
    for pid in machine.processes():
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(machine.temporary)


@pytest.fixture
def engine_of_a_stranger(
    docker: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Return the address of an engine in which the image has its usual name."""
    name, tag = split_tag(DEFAULT_TAG)
    ask(docker.url, "POST", f"images/{TAG}/tag?repo={name}&tag={tag}")
    monkeypatch.setenv("DOCKER_HOST", docker.url)
    yield docker.url
    sweep(docker.url)
    ask(docker.url, "DELETE", f"images/{DEFAULT_TAG}?noprune=true")
