"""What the cloud accepts and then does not do: asked for again, or told."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from aioelasticluster import CapacityError, NodeState, StartTimeoutError
from aioelasticluster.engine.teardown import AGAIN_AFTER
from aioelasticluster.providers.base import Instance, InstanceState
from aioelasticluster.testing.fake_cloud import FakeCloud, FakeCloudProvider
from tests.support import World


class ForgetfulCloudProvider(FakeCloudProvider):
    """Forgets so many deletions that it accepted; has `room` for so many that wake.

    Instances stop for `ending` seconds before they are gone; waking them takes
    `waking` seconds.
    """

    def __init__(self, cloud: FakeCloud) -> None:
        super().__init__(cloud)
        self.forgets = 0
        self.room = 1000
        self.ending = self.waking = 0.0

    async def terminate(self, ids: Sequence[str]) -> None:
        if self.forgets:
            self.forgets -= 1
            return await self._request("terminate")
        if not self.ending:
            return await super().terminate(ids)
        await self._request("terminate")
        self._put(ids, InstanceState.PAUSING)
        for id in ids:
            self.cloud.instances[id].up_at = self._now() + self.ending

    async def find(
        self, *, token: str | None = None, cluster_id: str | None = None
    ) -> Sequence[Instance]:
        for id, fake in list(self.cloud.instances.items()):
            stops = fake.instance.state is InstanceState.PAUSING
            if stops and fake.up_at <= self._now():
                del self.cloud.instances[id]
        return await super().find(token=token, cluster_id=cluster_id)

    async def resume(self, ids: Sequence[str]) -> None:
        await anyio.sleep(self.waking)
        await super().resume(ids[: self.room])
        if len(ids) > self.room:
            raise CapacityError("no room")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def provider(world: World) -> ForgetfulCloudProvider:
    return ForgetfulCloudProvider(world.cloud)


async def test_instances_that_do_not_end_are_asked_to_once_more(
    world: World, provider: ForgetfulCloudProvider
) -> None:
    cluster = world.cluster(3, provider=provider)
    await cluster.start()
    provider.forgets = 2
    before = len(world.cloud.requests)
    await cluster.stop()

    requests = world.cloud.requests[before:]
    assert requests.count("terminate") == 3
    assert requests.count("find") == 2 * AGAIN_AFTER + 2
    assert not world.cloud.instances


async def test_a_node_that_does_not_end_is_asked_to_once_more(
    world: World, provider: ForgetfulCloudProvider
) -> None:
    cluster = world.cluster(3, provider=provider)
    await cluster.start()
    provider.forgets = 1
    await cluster.remove_node("compute002")

    assert len(world.cloud.instances) == 3
    await cluster.stop()


async def test_instances_that_stop_on_their_way_are_left_to_it(
    world: World, provider: ForgetfulCloudProvider
) -> None:
    cluster = world.cluster(3, provider=provider)
    await cluster.start()
    provider.ending = 120.0
    before = len(world.cloud.requests)
    await cluster.stop()

    assert world.cloud.requests[before:].count("terminate") == 1
    assert not world.cloud.instances


async def test_nodes_that_woke_are_known_though_others_found_no_room(
    world: World, provider: ForgetfulCloudProvider
) -> None:
    cluster = world.cluster(3, provider=provider)
    await cluster.start()
    ids = {node.name: node.instance_id for node in cluster.get_all_nodes()}
    await cluster.pause()
    provider.room = 3
    with pytest.raises(CapacityError):
        await cluster.resume()

    states = [node.state for node in cluster.get_all_nodes()]
    assert states.count(NodeState.BOOTING) == 3
    assert states.count(NodeState.PAUSED) == 1
    provider.room = 1000
    assert (await cluster.resume()).ok
    assert {node.name: node.instance_id for node in cluster.get_all_nodes()} == ids
    await cluster.stop()


async def test_a_cloud_that_takes_its_time_to_wake_nodes_gets_no_more_than_there_is(
    world: World, provider: ForgetfulCloudProvider
) -> None:
    cluster = world.cluster(3, provider=provider)
    await cluster.start()
    await cluster.pause()
    provider.waking = 1000.0
    begun = anyio.current_time()
    with pytest.raises(StartTimeoutError):
        await cluster.resume(timeout=60)

    assert anyio.current_time() - begun < 65
    assert len(world.cloud.instances) == 4
    await cluster.stop()
