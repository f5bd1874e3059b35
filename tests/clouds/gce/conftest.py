"""One server for all tests of a session, an empty cloud for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clouds.gce.client import Api
from tests.clouds.gce.running import GceEndpoint, running_gce, why_no_hosts


@pytest.fixture(scope="session")
def gce_server() -> Iterator[GceEndpoint]:
    """Run a server without real hosts."""
    with running_gce() as endpoint:
        yield endpoint


@pytest.fixture
def gce(gce_server: GceEndpoint) -> GceEndpoint:
    """Return the server with an empty cloud that behaves well."""
    gce_server.reset()
    return gce_server


@pytest.fixture(scope="session")
def gce_hosts_server() -> Iterator[GceEndpoint]:
    """Run a server whose instances are real SSH servers; skip where that cannot be."""
    if reason := why_no_hosts():
        pytest.skip(reason)
    with running_gce(hosts=True) as endpoint:
        yield endpoint


@pytest.fixture
def gce_hosts(gce_hosts_server: GceEndpoint) -> Iterator[GceEndpoint]:
    """Return the server with real hosts, with an empty cloud; nothing stays in it."""
    gce_hosts_server.reset()
    yield gce_hosts_server
    gce_hosts_server.reset()


@pytest.fixture(scope="session")
def gce_client(gce_server: GceEndpoint) -> Api:
    """Return the first project's API, with a token for all tests."""
    return Api.of(gce_server)


@pytest.fixture
def api(gce: GceEndpoint, gce_client: Api) -> Api:
    """Return the first project's API of an empty cloud in a hurry."""
    gce.behave(operation_seconds=0.02, stop_seconds=0.05)
    return gce_client
