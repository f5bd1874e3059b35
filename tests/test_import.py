"""What `import aioelasticluster` costs, and what it leaves for later."""

from __future__ import annotations

import subprocess
import sys

NAMES = "Cluster, Node, LocalCloudProvider, SqliteRepository"
OURS = f"from aioelasticluster import {NAMES}"

#: What only those who use it should wait for; whole packages.
HEAVY = (
    "aiobotocore",
    "aiodocker",
    "aiohttp",
    "aiosqlite",
    "ansible",
    "asyncssh",
    "botocore",
    "cryptography",
    "gcloud",
    "google",
    "openstack",
    "pydantic",
    "rich",
    "sqlite3",
    "typer",
    "yaml",
)

#: How often each import is timed: noise only ever adds, so the best one counts.
ROUNDS = 10


def in_a_fresh_interpreter(program: str) -> str:
    """Run a program in an interpreter of its own; return what it prints."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def seconds_for(statement: str) -> float:
    """Return the CPU time of a statement, without the interpreter's own start.

    Not wall time: an import is all CPU, and other programs' turns are not its cost.
    """
    timed = "from time import process_time as now; t = now(); {}; print(now() - t)"
    return float(in_a_fresh_interpreter(timed.format(statement)))


def test_the_import_takes_at_most_four_times_as_long_as_that_of_asyncio() -> None:
    for statement in ("import asyncio", OURS):
        seconds_for(statement)  # writes the bytecode
    # In turns, so that a busy moment of the machine is not one side's alone.
    pairs = [(seconds_for("import asyncio"), seconds_for(OURS)) for _ in range(ROUNDS)]
    asyncio, ours = (min(side) for side in zip(*pairs, strict=True))
    assert ours <= 4 * asyncio, f"{ours:.3f} s is {ours / asyncio:.1f} times asyncio's"


def test_the_import_loads_no_ssh_no_ansible_no_database_and_no_cloud_sdk() -> None:
    loaded = in_a_fresh_interpreter(f"{OURS}\nimport sys\nprint(*sys.modules)").split()
    assert not {name.partition(".")[0] for name in loaded} & {*HEAVY}


def test_every_public_name_can_be_imported() -> None:
    in_a_fresh_interpreter("from aioelasticluster import *")
