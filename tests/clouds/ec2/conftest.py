"""One server for all tests of a session, an empty cloud for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clouds.ec2.client import Api
from tests.clouds.ec2.running import Ec2Endpoint, running_ec2, why_no_hosts


@pytest.fixture(scope="session")
def ec2_server() -> Iterator[Ec2Endpoint]:
    """Run a server without real hosts."""
    with running_ec2() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def ec2_hosts_server() -> Iterator[Ec2Endpoint]:
    """Run a server whose instances are real SSH servers; skip where that cannot be."""
    if reason := why_no_hosts():
        pytest.skip(reason)
    with running_ec2(hosts=True) as endpoint:
        yield endpoint


@pytest.fixture
def ec2_hosts(ec2_hosts_server: Ec2Endpoint) -> Iterator[Ec2Endpoint]:
    """Return the server with real hosts, with an empty cloud; nothing stays in it."""
    ec2_hosts_server.reset()
    yield ec2_hosts_server
    ec2_hosts_server.reset()


@pytest.fixture
def ec2(ec2_server: Ec2Endpoint) -> Ec2Endpoint:
    """Return the server with an empty cloud that behaves well."""
    ec2_server.reset()
    return ec2_server


@pytest.fixture(scope="session")
def ec2_client(ec2_server: Ec2Endpoint) -> Iterator[Api]:
    """Make one client of boto3 for all tests: that takes long."""
    api = Api.of(ec2_server)
    yield api
    api.ec2.close()


@pytest.fixture
def api(ec2: Ec2Endpoint, ec2_client: Api) -> Api:
    """Return the first account's API of an empty cloud."""
    return ec2_client
