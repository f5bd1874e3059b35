"""Fixtures for tests on real hosts, wherever these tests lie.

A test with real hosts has the marks of `tests.hosts.sharing.MARKS`, and reads::

    async def test_slurm_runs_a_job(make_cluster: MakeCluster) -> None:
        setup = AnsibleSetupProvider({"frontend": ["slurm_master"], ...})
        cluster = make_cluster(setup, frontend=1, compute=2)
        await cluster.start()
        await cluster.setup()

Every host is a Debian 12 in which the login `debian` may become root; the packages in
`tests.hosts.images.DOWNLOADS` install from its own disk. What a test has made is
stopped when it ends, and a test that leaves anything in the engine fails.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from aioelasticluster import Cluster, ContainerCloudProvider
from aioelasticluster.setup.base import AbstractSetupProvider
from tests.hosts.clusters import cluster_on, provider_for
from tests.hosts.contents import contents, sweep
from tests.hosts.running import RunningEngine
from tests.hosts.sharing import shared_engine


class MakeCluster(Protocol):
    """Plans a cluster in the session's engine; its nodes are given by kind."""

    def __call__(
        self, setup: AbstractSetupProvider | None = None, **more: Any
    ) -> Cluster: ...


@pytest.fixture(scope="session")
def docker(pytestconfig: pytest.Config) -> RunningEngine:
    """Return the session's own dockerd; the first start may make the image."""
    return shared_engine(pytestconfig, "docker")


@pytest.fixture(scope="session")
def podman(pytestconfig: pytest.Config) -> RunningEngine:
    """Return the session's own Podman API service."""
    return shared_engine(pytestconfig, "podman")


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[RunningEngine]:
    """Return the engine that the test uses; nothing may be left in it.

    It is dockerd, where the test is not parametrised (indirectly) with another one.
    """
    kind = getattr(request, "param", "docker")
    yield from left_as_found(request.getfixturevalue(kind))


@pytest.fixture
def container_cloud(engine: RunningEngine) -> ContainerCloudProvider:
    """Return a provider for the session's engine, with the tests' image."""
    return provider_for(engine.url)


@pytest.fixture
async def make_cluster(
    container_cloud: ContainerCloudProvider, tmp_path: Path
) -> AsyncIterator[MakeCluster]:
    """Return what plans clusters; they are stopped after the test."""
    made: list[Cluster] = []

    def make(setup: AbstractSetupProvider | None = None, **more: Any) -> Cluster:
        cluster = cluster_on(container_cloud, tmp_path, setup, **more)
        made.append(cluster)
        return cluster

    yield make
    for cluster in made:
        await cluster.stop()
        await cluster.aclose()


def left_as_found(found: RunningEngine) -> Iterator[RunningEngine]:
    """Yield an engine; fail if anything is left in it, and remove that."""
    yield found
    left = contents(found.url)
    if left:
        sweep(found.url)
    assert not left
