"""The user's loop beats on while this library works with EC2, however many nodes.

Times are of the loop's thread's own processor time, for the machine is shared; without
full garbage collections, which take as long as the whole program's heap is large, and
happen when the program's own objects bring them about.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Awaitable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.parsers import AioEC2QueryParser
from anyio import to_thread

from aioelasticluster import BotoCloudProvider
from tests.clouds.clusters import alive, made, new_key
from tests.clouds.ec2.client import Api
from tests.clouds.ec2.clusters import provider_for
from tests.clouds.ec2.heartbeat import Pulse, Pulses
from tests.clouds.ec2.running import Ec2Endpoint

_ROOT = Path(__file__).parents[3]

#: How long (ms) the loop may be held; the promise.
PROMISE = 50.0

#: The same with a thousand nodes.
PROMISE_OF_MANY = 100.0

#: What every instance of ours says of itself, and an instance of a thousand is to be.
TAGS = {
    "aioec-schema": "1",
    "aioec-cluster-id": "c" * 32,
    "aioec-cluster": "demo",
    "aioec-token": "d" * 32,
    "aioec-kind": "compute",
    "aioec-names": "compute[001-100]",
    "aioec-ssh-port": "22",
}

FIRST_CLIENT = """
import asyncio, sys
from aioelasticluster import BotoCloudProvider
from tests.clouds.ec2.heartbeat import Pulse

assert "botocore" not in sys.modules

async def main():
    pulse = Pulse()
    async with pulse.felt():
        await BotoCloudProvider(*sys.argv[1:]).identity()
    print(pulse.working * 1000)

asyncio.run(main())
"""


def said(*arguments: str) -> Any:
    """Run Python on something, and return what it says, from JSON."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def life(count: int, folder: Path, ec2: Ec2Endpoint) -> Pulses:
    """Lead a whole life in a program of its own; nothing is left of it."""
    key = new_key(folder)
    key.rename(folder / "key")
    key.with_name(f"{key.name}.pub").rename(folder / "key.pub")
    place = json.dumps(asdict(ec2))
    module = ("-m", "tests.clouds.ec2.heartbeat")
    found: Pulses = await to_thread.run_sync(
        said, *module, str(count), str(folder), place
    )
    assert len(ec2.instances()) == count + 10
    assert (alive(ec2), made(ec2)) == (set(), {})
    return found


def too_long(pulses: Pulses, limit: float) -> Pulses:
    """Return the phases in which the loop was held longer than so many ms."""
    return {phase: p for phase, p in pulses.items() if p["working"] > limit}


async def test_the_loop_is_never_held_in_a_whole_life_of_a_hundred_nodes(
    ec2_hosts: Ec2Endpoint, tmp_path: Path
) -> None:
    ec2_hosts.behave(boot_seconds=0.3, stop_seconds=0.1)
    pulses = await life(100, tmp_path, ec2_hosts)
    assert too_long(pulses, PROMISE) == {}, pulses


@pytest.mark.soak
@pytest.mark.timeout(180)
async def test_nor_in_that_of_a_thousand(
    ec2_hosts: Ec2Endpoint, tmp_path: Path
) -> None:
    ec2_hosts.behave(boot_seconds=2.0)
    pulses = await life(1000, tmp_path, ec2_hosts)
    assert too_long(pulses, PROMISE_OF_MANY) == {}, pulses


def test_the_first_client_is_made_without_holding_the_loop(ec2: Ec2Endpoint) -> None:
    where = (ec2.url, ec2.region, ec2.access_key, ec2.secret_key)
    assert said("-c", FIRST_CLIENT, *where) < PROMISE


async def test_a_reply_about_a_thousand_instances_is_parsed_in_a_thread(
    ec2: Ec2Endpoint, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[tuple[str, int]] = []
    parse = AioEC2QueryParser._do_parse

    def watched(self: Any, response: Any, shape: Any) -> Awaitable[Any] | Any:
        thread = threading.current_thread()
        where = "loop" if thread is threading.main_thread() else "thread"
        parsed.append((where, len(response["body"])))
        return parse(self, response, shape)

    monkeypatch.setattr(AioEC2QueryParser, "_do_parse", watched)
    tags = [{"Key": key, "Value": value} for key, value in TAGS.items()]
    api.launch(1000, TagSpecifications=[{"ResourceType": "instance", "Tags": tags}])
    provider, pulse = provider_for(ec2), Pulse()
    async with provider, pulse.felt():
        assert len(await provider.find()) == 1000
    ((where, size),) = parsed
    assert where == "thread"
    assert size > 1_000_000
    assert pulse.working * 1000 < PROMISE


@pytest.mark.parametrize("count", [1, 20, 100])
async def test_a_shorter_list_does_not_hold_the_loop_either(
    ec2: Ec2Endpoint, api: Api, count: int
) -> None:
    tags = [{"Key": key, "Value": value} for key, value in TAGS.items()]
    api.launch(count, TagSpecifications=[{"ResourceType": "instance", "Tags": tags}])
    provider = BotoCloudProvider(ec2.url, ec2.region, ec2.access_key, ec2.secret_key)
    pulse = Pulse()
    async with provider:
        await provider.identity()
        async with pulse.felt():
            assert len(await provider.find()) == count
    assert pulse.working * 1000 < PROMISE / 2
