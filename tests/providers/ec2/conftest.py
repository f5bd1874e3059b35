"""Virtual time, and what the tests of EC2's parts share."""

from __future__ import annotations

from typing import Any

import pytest

from aioelasticluster.testing.virtual_time import VirtualTimeLoop


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}
