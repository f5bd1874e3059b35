"""A local cloud for each test; whatever a test leaves is ended, and is a failure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from aioelasticluster.providers.local import LocalCloudProvider
from tests.providers.local_cloud import LocalCloud, left_behind


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """Give a state folder; nothing may live there after the test."""
    yield tmp_path / "state"
    left_behind(tmp_path / "state")


@pytest.fixture
async def cloud(state: Path) -> AsyncIterator[LocalCloud]:
    """Give an open local cloud, and end its instances after the test."""
    provider = LocalCloudProvider(state)
    cloud = LocalCloud(state.parent, provider)
    async with provider:
        try:
            yield cloud
        finally:
            await cloud.end()
