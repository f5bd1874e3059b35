"""What the conftest of all tests refuses: skips of required tests, shared loops."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

MARKED = """
import pytest

pytestmark = pytest.mark.containers

@pytest.mark.skipif(True, reason="no engine")
def test_skipped_by_a_mark(): ...

@pytest.fixture
def engine():
    pytest.skip("no engine")

def test_skipped_by_its_fixture(engine): ...

def test_skipped_by_itself():
    pytest.skip("no engine")

@pytest.mark.xfail(reason="known")
def test_expected_to_fail():
    raise AssertionError

def test_that_runs(): ...
"""

UNMARKED = """
import pytest

def test_skipped_by_itself():
    pytest.skip("too small a machine")
"""


SHARING = """
import pytest

@pytest.fixture(scope="{scope}")
def anyio_backend():
    return "asyncio"

@pytest.fixture(scope="{scope}")
async def service():
    yield 42

async def test_with_a_service(service):
    assert service == 42
"""


@pytest.fixture
def inner(pytester: pytest.Pytester) -> pytest.Pytester:
    """Return a project with our conftest, one file of marked and one of other tests."""
    pytester.makeini(
        "[pytest]\nanyio_mode = auto\nmarkers =\n    containers: needs an engine\n"
    )
    pytester.makeconftest(Path(__file__).with_name("conftest.py").read_text())
    pytester.makepyfile(test_marked=MARKED, test_unmarked=UNMARKED)
    return pytester


def run(
    inner: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, required: str, *paths: str
) -> pytest.RunResult:
    monkeypatch.setenv("AIOELASTICLUSTER_REQUIRE", required)
    return inner.runpytest_inprocess("-p", "no:cacheprovider", *paths)


def test_skips_are_skips_where_nothing_is_required(
    inner: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = run(inner, monkeypatch, "")

    outcome.assert_outcomes(passed=1, skipped=4, xfailed=1)
    assert outcome.ret == pytest.ExitCode.OK


def test_a_skip_of_what_is_required_is_a_failure(
    inner: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = run(inner, monkeypatch, " containers,")

    outcome.assert_outcomes(passed=1, skipped=1, xfailed=1, failed=1, errors=2)
    outcome.stdout.fnmatch_lines(
        ["*AIOELASTICLUSTER_REQUIRE names containers: Skipped: no engine*"]
    )
    assert outcome.ret == pytest.ExitCode.TESTS_FAILED


def test_a_run_without_any_required_test_is_refused(
    inner: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = run(inner, monkeypatch, "containers", "test_unmarked.py")

    outcome.stderr.fnmatch_lines(["*names containers: no selected test is marked so*"])
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR


def test_a_marker_that_does_not_exist_cannot_be_required(
    inner: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = run(inner, monkeypatch, "container")

    outcome.stderr.fnmatch_lines(["*names container: no selected test is marked so*"])
    assert outcome.ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize("scope", ["class", "module", "package", "session"])
def test_no_fixture_may_lend_its_loop_to_later_tests(
    inner: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, scope: str
) -> None:
    inner.makepyfile(test_sharing=SHARING.format(scope=scope))

    outcome = run(inner, monkeypatch, "", "test_sharing.py")

    outcome.assert_outcomes(errors=1)
    outcome.stdout.fnmatch_lines([f"*anyio_backend of scope {scope} would give its*"])


def test_a_loop_for_one_test_is_welcome(
    inner: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner.makepyfile(test_sharing=SHARING.format(scope="function"))

    outcome = run(inner, monkeypatch, "", "test_sharing.py")

    outcome.assert_outcomes(passed=1)
