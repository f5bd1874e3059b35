"""One cloud for all tests of a session, emptied for each."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clouds.clusters import new_key
from tests.clouds.openstack.proxy import FaultProxy, faulty_compute
from tests.clouds.openstack.rig import OpenStackRig
from tests.clouds.openstack.scene import OpenStackScene
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


@pytest.fixture
def scene(rig: OpenStackRig, tmp_path: Path) -> OpenStackScene:
    """Give an empty scene for programs that die."""
    if rig.no_hosts:
        pytest.skip(rig.no_hosts)
    key = new_key(tmp_path)
    for ending in ("", ".pub"):
        shutil.copy2(f"{key}{ending}", tmp_path / f"id{ending}")
    return OpenStackScene(tmp_path, rig=rig)
