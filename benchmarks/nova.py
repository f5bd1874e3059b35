"""What N servers of the real OpenStack cost, beside openstacksdk in a pool of threads.

    python benchmarks/nova.py --nodes 1,8,9

The services are those of this repository's tests: the real ones, on this machine, with
Nova's fake hypervisor and a real SSH server behind each active server. They take most
of the time and of the processors, so what tells the clients apart is how many requests
they make, and how soon after the last server became active they are done.

The peer is a script as many write it: `create_server(wait=True)` for each node, in
threads, then paramiko until each one answers; `delete_server(wait=True)` in threads. It
verifies no host key and records nothing. Every measurement has an interpreter of its
own; all of them share the services.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

from measuring import Meter, Row, fresh_key, machine, measured_apart, reach_all
from reporting import promised, save, show, table_of, table_of_limits

from aioelasticluster import (
    AnsibleSetupProvider,
    Cluster,
    OpenStackCloudProvider,
    SqliteRepository,
)

sys.path.insert(0, str(Path(__file__).parents[1]))  # the services are not installed

if TYPE_CHECKING:
    from tests.clouds.openstack.rig import OpenStackRig

RESULTS = Path(__file__).parent / "results" / "nova.json"

OURS, SDK = "aioelasticluster", "openstacksdk + threads"

#: How long (seconds) one measurement may take.
PATIENCE = 600.0

#: How many threads the script has, and how long (seconds) it waits for a server.
THREADS, WAITING = 8, 300

#: What this library promises of so many nodes: figure, limit, unit.
LIMITS: Mapping[int, tuple[tuple[str, float, str], ...]] = {
    8: (
        ("start_requests", 30, "requests to start"),
        ("after_s", 2.0, "s from the last active server to the end of the start"),
        ("stop_requests", 14, "requests to stop"),
    ),
    9: (("start_requests", 33, "requests to start"),),
}


@dataclass(frozen=True, slots=True)
class Job:
    """So many nodes, a key for them (`.pub` beside it), and where to launch them."""

    count: int
    key: Path
    cloud: OpenStackRig

    def phase(self, meter: Meter, prefix: str) -> Row:
        """Return what a phase took, and how many requests, since the last one."""
        row = {
            f"{prefix}_s": meter.wall,
            f"{prefix}_cpu_s": meter.cpu,
            f"{prefix}_requests": len(self.cloud.requests()),
        }
        self.cloud.forget_requests()
        return row

    def since_active(self, ended: float) -> float:
        """Return how long before a moment the last server became active (seconds)."""
        from tests.clouds.openstack.user import user

        with user(self.cloud) as demo:
            texts = [one["OS-SRV-USG:launched_at"] for one in demo.listed()]
        self.cloud.forget_requests()
        active = max(datetime.fromisoformat(t).replace(tzinfo=UTC) for t in texts)
        return ended - active.timestamp()


async def measure_ours(job: Job) -> Row:
    """Start and stop a cluster as users do."""
    cloud = job.cloud
    provider = OpenStackCloudProvider(
        **cloud.demo["auth"], region_name=cloud.demo["region_name"]
    )
    cluster = Cluster(
        "benchmark",
        provider,
        AnsibleSetupProvider({"compute": []}),
        "benchmark",
        f"{job.key}.pub",
        str(job.key),
        repository=SqliteRepository(job.key.parent / "clusters.sqlite"),
    )
    node = (cloud.image, cloud.login, cloud.flavor, "default")
    cluster.add_nodes("compute", job.count, *node)
    meter = Meter()
    await cluster.start(timeout=WAITING)
    ended = time()
    row = job.phase(meter, "start") | {"after_s": job.since_active(ended)}
    meter = Meter()
    await cluster.stop()
    return row | job.phase(meter, "stop")


def measure_sdk(job: Job) -> Row:
    """Create each server and wait for it, from threads."""
    meter = Meter()
    import openstack

    cloud = job.cloud
    with openstack.connect(
        **cloud.demo, load_yaml_config=False, load_envvars=False
    ) as sdk:
        public = Path(f"{job.key}.pub").read_text()
        sdk.create_keypair("benchmark", public_key=public)
        create = partial(
            sdk.create_server,
            image=cloud.image,
            flavor=cloud.flavor,
            network=cloud.private_network,
            key_name="benchmark",
            auto_ip=False,
            wait=True,
            timeout=WAITING,
        )
        with ThreadPoolExecutor(THREADS) as pool:
            names = [f"node-{number}" for number in range(job.count)]
            servers = list(pool.map(create, names))
            reach_all([(server.private_v4, 22) for server in servers], job.key)
            ended = time()
            row = job.phase(meter, "start") | {"after_s": job.since_active(ended)}
            meter = Meter()
            delete = partial(sdk.delete_server, wait=True, timeout=WAITING)
            list(pool.map(delete, [server.id for server in servers]))
        sdk.delete_keypair("benchmark")
        return row | job.phase(meter, "stop")


def measure_one(client: str, job: Job) -> Row:
    """Measure a client, by name."""
    return measure_sdk(job) if client == SDK else asyncio.run(measure_ours(job))


def measured(client: str, count: int, cloud: OpenStackRig) -> Row:
    """Measure once, with an interpreter that nobody has used."""
    cloud.reset()
    place = {
        "auth_url": cloud.auth_url,
        "compute_url": cloud.compute_url,
        "folder": str(cloud.folder),
        "network": cloud.network,
        "pids": cloud.pids,
        "ports": {name: astuple(pair) for name, pair in cloud.ports.items()},
    }
    with fresh_key() as key:
        asked = (client, str(count), str(key), json.dumps(place))
        row = measured_apart(__file__, *asked, patience=PATIENCE)
    return {"client": client, "nodes": count} | row


def side_by_side(counts: Iterable[int]) -> Row:
    """Measure both clients with all sizes."""
    from tests.clouds.openstack.running import running_openstack

    with running_openstack() as cloud:
        if cloud.no_hosts:
            sys.exit(f"servers cannot be reached here: {cloud.no_hosts}")
        rows = [
            measured(client, count, cloud) for count in counts for client in (OURS, SDK)
        ]
    return {"machine": machine(), "rows": rows, "limits": promised(rows, OURS, LIMITS)}


def report(result: Mapping[str, Any]) -> None:
    """Print the figures as tables."""
    columns = {
        "client": "client",
        "nodes": "nodes",
        "start_s": "ready",
        "after_s": "after the last active",
        "start_requests": "requests",
        "start_cpu_s": "CPU",
        "stop_s": "stop",
        "stop_requests": "requests to stop",
    }
    show(
        table_of(result["rows"], columns, "Clusters on OpenStack (seconds)"),
        table_of_limits(result["limits"]),
    )


def main() -> None:
    """Measure, print, and write what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nodes", default="1,8,9", help="sizes")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where to write")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        from tests.clouds.openstack.rig import OpenStackRig

        client, count, key, place = given.one
        cloud = OpenStackRig(**json.loads(place))
        cloud.forget_requests()
        print(json.dumps(measure_one(client, Job(int(count), Path(key), cloud))))
        return
    found = side_by_side([int(size) for size in given.nodes.split(",")])
    result = {"benchmark": "nova", **found}
    save(given.json, result)
    report(result)


if __name__ == "__main__":
    main()
