"""One engine of each kind for all tests of a session, whichever folder they are in."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.hosts.engines import ENGINES
from tests.hosts.images import have_image
from tests.hosts.running import RunningEngine, running_engine

#: The marks of a test that uses an engine. Starting one takes as long as it takes.
MARKS = [pytest.mark.containers, pytest.mark.timeout(60, func_only=True)]

_STARTED = pytest.StashKey[dict[str, RunningEngine | Exception]]()


def shared_engine(config: pytest.Config, kind: str) -> RunningEngine:
    """Return the session's engine, with the tests' image; skip where it cannot be."""
    if reason := ENGINES[kind].why_not():
        pytest.skip(f"{kind}: {reason}")
    started = config.stash.setdefault(_STARTED, {})
    if kind not in started:
        started[kind] = _started(config, kind)
    found = started[kind]
    if isinstance(found, Exception):
        raise found
    return found


def _started(config: pytest.Config, kind: str) -> RunningEngine | Exception:
    stack = ExitStack()
    config.add_cleanup(stack.close)
    try:
        engine = stack.enter_context(running_engine(kind))
        have_image(engine.url)
    except Exception as fault:
        return fault
    return engine
