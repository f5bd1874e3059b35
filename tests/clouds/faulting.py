"""What goes wrong in any cloud: told, in time, and nothing is unrecorded.

Each test cloud has a subclass of `Faults`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest

from aioelasticluster import Cluster
from aioelasticluster.errors import StartError
from aioelasticluster.providers.base import AbstractCloudProvider
from tests.clouds.bounded import BOUND, ended, nothing_left, started
from tests.clouds.endpoint import Endpoint, why_no_hosts

NODES = 12

#: Which storms come with every commit; the others, and other seeds, are soak tests.
OFTEN = ("all of it", "first launch reset", "reset", "throttled", "truncated")

SEEDS = range(1, 8)

#: In the place of the method that launches.
LAUNCH = "launch"

#: Faults that come by chance, at any request.
STORMS: Mapping[str, Mapping[str, Any]] = {
    "throttled": {"throttle_share": 0.3},
    "unavailable": {"unavailable_share": 0.3},
    "truncated": {"truncate_share": 0.3},
    "aborted": {"abort_share": 0.3},
    "reset": {"reset_share": 0.2},
    "launches reset": {"reset_share": 0.3, "actions": [LAUNCH]},
    "first launch reset": {"reset_share": 1.0, "actions": [LAUNCH], "times": 1},
    "all of it": dict.fromkeys(
        (
            "abort_share",
            "reset_share",
            "throttle_share",
            "truncate_share",
            "unavailable_share",
        ),
        0.06,
    ),
}

soak = pytest.mark.soak


def with_seeds(storms: Collection[str], often: Collection[str]) -> Iterator[Any]:
    """Yield storms with seeds; all but the first of those that come often are soak."""
    for storm in storms:
        for seed in SEEDS:
            marks = () if storm in often and seed == 1 else soak
            yield pytest.param(storm, seed, marks=marks, id=f"{storm}-{seed}")


class Faults(ABC):
    """What every cloud may do wrong.

    The subclass has fixtures `cloud`, a quick one, and `hosts`, one with real hosts;
    `launching` is the method that launches.
    """

    launching: ClassVar[str]
    wishes: ClassVar[Mapping[str, Any]] = {}

    @abstractmethod
    def provider(self, cloud: Endpoint, folder: Path) -> AbstractCloudProvider:
        """Return a quick provider."""

    @abstractmethod
    def cluster(
        self, cloud: Endpoint, folder: Path, count: int = NODES, **how: Any
    ) -> Cluster:
        """Return a cluster, by default with such a provider."""

    def told(self, storm: Mapping[str, Any]) -> dict[str, Any]:
        """Return how the cloud behaves in a storm."""
        actions = storm.get("actions", ())
        named = [self.launching if one == LAUNCH else one for one in actions]
        return {**storm, "actions": named}

    async def gets_through(
        self, cloud: Endpoint, folder: Path, storm: Mapping[str, Any], seed: int
    ) -> None:
        """Start and stop a cluster in a storm; all of it comes up, and goes."""
        kinds = ("frontend", "compute")
        cluster = self.cluster(cloud, folder, NODES // 2, kinds=kinds, **self.wishes)
        cloud.behave(seed=seed, **self.told(storm))
        report = await started(cloud, cluster)

        assert seed > 1 or any(one["fault"] or one["code"] for one in cloud.requests())
        assert report.ok
        assert len(report.alive) == len(cloud.instances()) == NODES
        await ended(cloud, cluster)

    # Requests that fail

    @pytest.mark.parametrize(("storm", "seed"), [*with_seeds(STORMS, OFTEN)])
    async def test_a_cluster_gets_through_requests_that_fail(
        self, cloud: Endpoint, tmp_path: Path, storm: str, seed: int
    ) -> None:
        await self.gets_through(cloud, tmp_path, STORMS[storm], seed)

    @pytest.mark.skipif(bool(why_no_hosts()), reason=why_no_hosts())
    @pytest.mark.parametrize(
        "storm", ["all of it", pytest.param("throttled", marks=soak)]
    )
    async def test_real_nodes_come_up_while_requests_fail(
        self, hosts: Endpoint, tmp_path: Path, storm: str
    ) -> None:
        storming = self.told(STORMS[storm])
        hosts.behave(boot_seconds=0.1, stop_seconds=0.1, **storming)
        cluster = self.cluster(hosts, tmp_path, 4, hosts=True)
        report = await started(hosts, cluster)
        results = await cluster.run("echo here")

        assert not report.unrotated
        assert {result.stdout for result in results.values()} == {"here\n"}
        assert len(results) == 4
        await ended(hosts, cluster)

    async def test_a_launch_without_an_answer_is_repeated_and_launches_once(
        self, cloud: Endpoint, tmp_path: Path
    ) -> None:
        provider = self.provider(cloud, tmp_path)
        provider.launch_patience = 0.6
        cluster = self.cluster(cloud, tmp_path, provider=provider)
        cloud.behave(hang_share=1.0, actions=[self.launching], times=1)
        report = await started(cloud, cluster)

        assert report.ok
        assert len(cloud.launches()) == 2
        assert len(cloud.instances()) == NODES
        await ended(cloud, cluster)

    @pytest.mark.parametrize(
        "fault",
        [
            "reset",
            *(pytest.param(f, marks=soak) for f in ("abort", "hang", "truncate")),
        ],
    )
    async def test_launches_that_are_never_answered_are_found_by_their_token(
        self,
        cloud: Endpoint,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        fault: str,
    ) -> None:
        monkeypatch.setattr("aioelasticluster.engine.retry.TRANSIENT_TRIES", 2)
        provider = self.provider(cloud, tmp_path)
        provider.launch_patience = 0.5
        cluster = self.cluster(cloud, tmp_path, provider=provider)
        cloud.behave(actions=[self.launching], **{f"{fault}_share": 1.0})
        report = await started(cloud, cluster)

        assert report.ok
        assert len(cloud.instances()) == NODES
        await ended(cloud, cluster)

    async def test_a_cloud_that_never_recovers_is_given_up_and_nothing_stays(
        self, cloud: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("aioelasticluster.engine.retry.TRANSIENT_TRIES", 2)
        cluster = self.cluster(cloud, tmp_path)
        cloud.behave(unavailable_share=1.0, actions=[self.launching])
        with anyio.fail_after(BOUND), pytest.raises(StartError) as caught:
            await cluster.start(timeout=0.5)

        assert len(caught.value.report.failed) == NODES
        assert not cloud.instances()
        await nothing_left(cloud, cluster)

    # Lists that do not say everything

    @pytest.mark.parametrize(
        ("lag", "window"), [(0.6, 1.2), pytest.param(5.0, 6.0, marks=soak)]
    )
    async def test_instances_that_are_listed_late_are_waited_for(
        self, cloud: Endpoint, tmp_path: Path, lag: float, window: float
    ) -> None:
        cloud.behave(list_lag=lag)
        provider = self.provider(cloud, tmp_path)
        provider.settle_window = window
        cluster = self.cluster(cloud, tmp_path, provider=provider)
        report = await started(cloud, cluster)

        assert report.ok
        assert len(cloud.instances()) == NODES
        await ended(cloud, cluster)

    async def test_what_is_stopped_before_it_is_listed_does_not_stay(
        self, cloud: Endpoint, tmp_path: Path
    ) -> None:
        cloud.behave(list_lag=0.6, boot_seconds=60.0)
        provider = self.provider(cloud, tmp_path)
        provider.settle_window = 1.2
        cluster = self.cluster(cloud, tmp_path, provider=provider)
        with anyio.fail_after(BOUND), pytest.raises(StartError):
            await cluster.start(timeout=0.3)

        assert len(cloud.launches()) == 1
        await nothing_left(cloud, cluster)
