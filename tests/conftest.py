"""What all tests share: asyncio through anyio's plugin, coroutines found by themselves."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
