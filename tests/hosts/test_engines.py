"""The tests' own engines leave nothing on this machine but images in the cache."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.hosts.contents import ask, contents
from tests.hosts.engines import ENGINES
from tests.hosts.running import RunningEngine, running_engine
from tests.hosts.sharing import MARKS

pytestmark = MARKS

#: Where both engines would leave something if they were not kept from it.
PLACES = (Path("/run/netns"), Path("/run/containers"), Path("/dev/shm"))


NAMES = ("netns-", "libpod", "networks", "storage")


@pytest.fixture(params=sorted(ENGINES))
def kind(request: pytest.FixtureRequest) -> str:
    if reason := ENGINES[request.param].why_not():
        pytest.skip(reason)
    return str(request.param)


def lines(*command: str) -> set[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines())


def files() -> set[Path]:
    """Return what engines, and nobody else, call so."""
    found = (path for place in PLACES if place.exists() for path in place.iterdir())
    return {path for path in found if path.name.startswith(NAMES)}


def links() -> set[Path]:
    return set(Path("/sys/class/net").iterdir())


def test_an_engine_s_end_takes_all_with_it(kind: str) -> None:
    before = files()
    with running_engine(kind) as engine:
        ask(engine.url, "POST", "networks/create", {"Name": "left"})
        ask(engine.url, "POST", "volumes/create", {"Name": "left"})
        assert contents(engine.url)
        ours = [link.name for link in links() if link.name.startswith("aioec-test")]
        assert ours
        assert not any(link.name.startswith(("br-", "podman")) for link in new(engine))
    assert not Path(engine.run).exists()
    assert not Path(f"/proc/{engine.pid}").exists()
    assert files() <= before
    rules = lines("iptables", "--list-rules") | lines(
        *("iptables", "--table", "nat", "--list-rules")
    )
    gone = set(ours) - {link.name for link in links()}
    assert gone  # others' engines may be running
    assert not [rule for rule in rules for link in gone if link in rule.split()]


def new(engine: RunningEngine) -> set[Path]:
    """Return this machine's links that lead into an engine's network."""
    name = ask(engine.url, "GET", "networks/left")["Id"][:12]
    return {link for link in links() if name in link.name}
