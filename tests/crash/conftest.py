"""A scene for each crash test; whatever is left in it is ended, and is a failure."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import asyncssh
import pytest

from tests.crash.program import DONE
from tests.crash.scene import Scene
from tests.providers.local_cloud import left_behind


@pytest.fixture(scope="session")
def seed() -> str:
    """Choose the seed for all that is random; `AIOEC_SEED` repeats a failure."""
    return os.environ.get("AIOEC_SEED") or str(random.getrandbits(32))


@pytest.fixture
def draw(request: pytest.FixtureRequest, seed: str) -> random.Random:
    """Give a test random numbers of its own; the report of a failure has the seed."""
    request.node.add_report_section("call", "seed", f"AIOEC_SEED={seed}")
    return random.Random(f"{seed} {request.node.name}")


@pytest.fixture(scope="session")
def key_pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one SSH key pair for all programs."""
    folder = tmp_path_factory.mktemp("keys")
    key = asyncssh.generate_private_key("ssh-ed25519")
    private = folder / "id"
    private.touch(mode=0o600)
    private.write_bytes(key.export_private_key())
    (folder / "id.pub").write_bytes(key.export_public_key())
    return folder


@asynccontextmanager
async def made_scene(folder: Path, key_pair: Path) -> AsyncIterator[Scene]:
    for name in ("id", "id.pub"):
        shutil.copy2(key_pair / name, folder / name)
    scene = Scene(folder)
    try:
        yield scene
    finally:
        try:
            await scene.end()
        finally:
            left_behind(scene.state)


@pytest.fixture
async def scene(tmp_path: Path, key_pair: Path) -> AsyncIterator[Scene]:
    """Give an empty scene, and leave nothing of it alive."""
    async with made_scene(tmp_path, key_pair) as scene:
        yield scene


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, key_pair: Path) -> float:
    """Measure how long a start of ten nodes takes on this machine (seconds)."""
    return asyncio.run(measured(tmp_path_factory.mktemp("undisturbed"), key_pair))


async def measured(folder: Path, key_pair: Path) -> float:
    async with made_scene(folder, key_pair) as scene:
        async with scene.program(scene.script("start")) as program:
            begun = anyio.current_time()
            await program.says(DONE)
            seconds = anyio.current_time() - begun
        await (await scene.repository().get("demo")).stop()
    return seconds
