"""A scene for each crash test; whatever is left in it is ended, and is a failure."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from tests.crash.scene import Scene
from tests.providers.local_cloud import left_behind


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


@pytest.fixture
async def scene(tmp_path: Path, key_pair: Path) -> AsyncIterator[Scene]:
    """Give an empty scene, and leave nothing of it alive."""
    for name in ("id", "id.pub"):
        shutil.copy2(key_pair / name, tmp_path / name)
    scene = Scene(tmp_path)
    try:
        yield scene
    finally:
        try:
            await scene.end()
        finally:
            left_behind(scene.state)
