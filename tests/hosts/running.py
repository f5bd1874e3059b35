"""Runs a container engine of the tests' own for a block.

    python -m tests.hosts.supervisor docker

does so by hand: it prints where the engine is, and serves until its input ends.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[2]

#: How long (seconds) an engine may take to end by itself.
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class RunningEngine:
    """An engine under way: its kind, its address, its process and its run folder."""

    kind: str
    url: str
    pid: int
    run: str


@contextmanager
def running_engine(kind: str) -> Iterator[RunningEngine]:
    """Run an engine for the block; it ends with the block, whatever happens.

    Raises RuntimeError if it does not start.
    """
    # In a session of its own, so that Ctrl-C reaches it through its input alone.
    with subprocess.Popen(
        [sys.executable, "-m", "tests.hosts.supervisor", kind],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{kind} did not start; its log is in the cache")
            yield RunningEngine(kind, **json.loads(line))
        finally:
            process.stdin.close()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
