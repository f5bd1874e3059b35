"""The user's loop beats on while this library works with OpenStack.

Times are of the loop's thread's own processor time, for the machine is shared.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from anyio import to_thread

from aioelasticluster.providers.openstack.listing import servers_of
from tests.clouds.clusters import new_key
from tests.clouds.ec2.test_heartbeat import said
from tests.clouds.openstack.clusters import access, alive, made
from tests.clouds.openstack.rig import OpenStackRig
from tests.clouds.openstack.sharing import MARKS
from tests.providers.openstack.samples import described
from tests.providers.samples import tags

pytestmark = MARKS

#: How long (ms) the loop may be held; the promise.
PROMISE = 50.0

FIRST_CONNECTION = """
import asyncio, json, sys
from aioelasticluster import OpenStackCloudProvider
from tests.clouds.ec2.heartbeat import Pulse

assert "openstack" not in sys.modules

async def main():
    pulse = Pulse()
    async with pulse.felt():
        async with OpenStackCloudProvider(**json.loads(sys.argv[1])) as provider:
            await provider.identity()
            await provider.find()
    print(pulse.held * 1000)

asyncio.run(main())
"""


async def test_the_loop_is_never_held_in_a_whole_life(
    rig: OpenStackRig, tmp_path: Path
) -> None:
    if rig.no_hosts:
        pytest.skip(rig.no_hosts)
    new_key(tmp_path)
    module = ("-m", "tests.clouds.openstack.heartbeat")
    told = json.dumps(access(rig))
    pulses = await to_thread.run_sync(said, *module, "1", str(tmp_path), told)
    assert {p: f for p, f in pulses.items() if f["held"] > PROMISE} == {}, pulses
    assert len(pulses) == 10
    assert (alive(rig), made(rig)) == (set(), {})


def test_the_first_connection_is_made_without_holding_the_loop(
    rig: OpenStackRig,
) -> None:
    assert said("-c", FIRST_CONNECTION, json.dumps(access(rig))) < PROMISE


def test_a_thousand_servers_are_read_without_holding_the_loop() -> None:
    names = [f"compute{number:03}" for number in range(1, 101)]
    told = tags(*names).encoded()
    page = [
        described(f"demo-o-{number % 100 + 1}", metadata=dict(told))
        for number in range(1000)
    ]
    begun = time.thread_time()
    found = servers_of(page)
    assert (time.thread_time() - begun) * 1000 < PROMISE
    assert [one.name for one in found] == names * 10
