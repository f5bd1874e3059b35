"""What must run here, and what is large enough to be installed only then."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pytest

#: Names markers, with commas, whose tests must not skip.
VARIABLE = "AIOELASTICLUSTER_REQUIRE"

#: The folder for what tests keep from run to run.
CACHE = "AIOELASTICLUSTER_TEST_CACHE"


def required() -> set[str]:
    """Return the markers of the tests that must run."""
    names = os.environ.get(VARIABLE, "").split(",")
    return {name.strip() for name in names} - {""}


def skip_unless_wanted(marker: str, what: str) -> None:
    """Skip a test that would have to install something large for nobody."""
    if marker not in required():
        pytest.skip(
            f"{what} would have to be installed; {VARIABLE}={marker} has it done"
        )


def kept() -> Path:
    """Return the folder for what tests install once: the user's cache, by default."""
    given = os.environ.get(CACHE)
    found = platformdirs.user_cache_path("aioelasticluster-tests")
    return (Path(given) if given else found).absolute()
