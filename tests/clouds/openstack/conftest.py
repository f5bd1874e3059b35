"""One cloud for all tests of a session, emptied for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clouds.openstack.proxy import FaultProxy, faulty_compute
from tests.clouds.openstack.rig import OpenStackRig
from tests.clouds.openstack.sharing import shared_rig


@pytest.fixture(scope="session")
def openstack_rig(pytestconfig: pytest.Config) -> OpenStackRig:
    """Return the session's cloud. Its first start may take minutes."""
    return shared_rig(pytestconfig)


@pytest.fixture
def rig(openstack_rig: OpenStackRig) -> OpenStackRig:
    """Return the session's cloud with nothing of users in it."""
    openstack_rig.reset()
    return openstack_rig


@pytest.fixture
def proxy(rig: OpenStackRig) -> Iterator[FaultProxy]:
    """Run a proxy before nova; clients use it by `compute_endpoint_override`."""
    with faulty_compute(rig.compute_url) as found:
        yield found
