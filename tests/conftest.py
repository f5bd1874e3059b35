"""What all tests share: asyncio through anyio's plugin, and skips that are forbidden.

`AIOELASTICLUSTER_REQUIRE=ansible,containers` says that these markers' tests must run
here: one that skips fails, and so does a run that collects none of them.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from aioelasticluster.testing.provider_contract.fixtures import UNCLAIMED
from tests.hosts.fixtures import (  # noqa: F401  for tests in any folder
    container_cloud,
    docker,
    engine,
    make_cluster,
    podman,
)
from tests.required import VARIABLE, required


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> None:
    """Refuse a backend that outlives its test: with a coroutine fixture of that scope
    anyio keeps one loop for all later tests, also for those in virtual time."""
    if fixturedef.argname == "anyio_backend" and fixturedef.scope != "function":
        pytest.fail(
            f"an anyio_backend of scope {fixturedef.scope} would give its loop to "
            "later tests; for a coroutine of wider scope use asyncio.run",
            pytrace=False,
        )


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse a run without the tests that must run, or with a misspelt marker."""
    present = {mark.name for item in session.items for mark in item.iter_markers()}
    if absent := sorted(required() - present):
        raise pytest.UsageError(
            f"{VARIABLE} names {', '.join(absent)}: no selected test is marked so"
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a test that must run into a failure; leave expected ones.

    What a cloud does not claim to have, a contract need not test.
    """
    report = yield
    marks = sorted(required().intersection(mark.name for mark in item.iter_markers()))
    unclaimed = report.skipped and UNCLAIMED in _reason(report)
    if marks and report.skipped and not unclaimed and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{VARIABLE} names {', '.join(marks)}: {_reason(report)}"
    return report


def _reason(report: pytest.TestReport) -> str:
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else "skipped")
