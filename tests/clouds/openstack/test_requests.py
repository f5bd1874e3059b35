"""How many requests a cluster takes, and how soon it is noticed that it is there.

As shipped: no pause is shortened. How many seconds it takes, `benchmarks/nova.py`
tells.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aioelasticluster import Cluster, OpenStackCloudProvider
from tests.clouds.openstack.clusters import access, alive, cluster_on, made
from tests.clouds.openstack.rig import OpenStackRig
from tests.clouds.openstack.sharing import MARKS
from tests.clouds.openstack.user import user

pytestmark = [pytest.mark.timeout(120, func_only=True), *MARKS]

#: The most requests for 8 nodes until they are alive, and for one more node.
START, ONE_MORE = 30, 3

#: The most requests beside the deletions until all is gone.
STOP = 6

#: How often it may be looked for the servers when all of them are there: one look may
#: have begun just before.
LOOKS = 2


def new_cluster(rig: OpenStackRig, folder: Path, count: int) -> Cluster:
    provider = OpenStackCloudProvider(**access(rig))
    return cluster_on(provider, folder, count, hosts=not rig.no_hosts)


def asked(rig: OpenStackRig) -> Counter[str]:
    """Return how often what was asked for since it was last forgotten."""
    return Counter(
        f"{one['service']} {one['method']} {one['path'].partition('?')[0]}"
        for one in rig.requests()
    )


def looks(rig: OpenStackRig, since: float) -> int:
    """Return how often the servers were listed after a moment."""
    listed = [
        one
        for one in rig.requests("nova", "GET")
        if "/servers/detail" in one["path"] and one["at"] > since
    ]
    return len(listed)


def last_active(rig: OpenStackRig) -> float:
    """Return when (seconds of the clock) the last server became active."""
    with user(rig) as demo:
        texts = [one["OS-SRV-USG:launched_at"] for one in demo.listed()]
    moments = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in texts]
    return max(moment.timestamp() for moment in moments)


async def test_a_start_and_a_stop_take_few_requests_and_no_time_of_their_own(
    rig: OpenStackRig, tmp_path: Path
) -> None:
    totals: dict[int, int] = {}
    for count in (8, 9):
        rig.forget_requests()
        cluster = new_cluster(rig, tmp_path, count)
        report = await cluster.start()
        assert len(report.alive) == count
        found = asked(rig)
        totals[count] = found.total()
        assert found["nova POST /v2.1/servers"] == 1
        assert totals[8] <= START, found
        assert looks(rig, since=last_active(rig)) <= LOOKS

        rig.forget_requests()
        await cluster.stop()
        found = asked(rig)
        deletions = sum(
            n for text, n in found.items() if "DELETE /v2.1/servers" in text
        )
        assert deletions == count
        assert found.total() <= count + STOP, found
        assert (alive(rig), made(rig)) == (set(), {})
    assert totals[9] <= totals[8] + ONE_MORE
