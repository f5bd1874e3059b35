"""How long until N nodes are ready, and what it costs, against two yardsticks.

    python benchmarks/launch.py --nodes 1,10,50

Nodes are instances of `LocalCloudProvider` on this machine, so no cloud's own speed is
in the figures, but the instances' CPU is: all of them boot on the same few cores.

The first yardstick is **the ideal**: from the launch order to the moment at which the
slowest instance's own log says that its SSH server is up. No client can be faster.

The second is **a plain client**, as scripts are written: one launch order through the
same provider, then a thread for each node (at most 32) in which paramiko connects until
the node answers (0.1 s between two tries) and runs `true`. It verifies no host keys and
rotates none, records nothing, retries no request, and would lose its instances with its
process. This library does all of that in the time that is measured. The row "without
rotation" is the library again, with `host_keys="tofu"`: it shows what rotation costs,
most of it on the nodes.

Each figure is the median of some rounds; every measurement has an interpreter of its
own, and the import of its SSH library is part of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Literal

from measuring import PAUSE, Meter, Row, fresh_key, machine, measured_apart, reach_all
from reporting import save, show, table_of, table_of_limits, verdicts

from aioelasticluster import (
    AnsibleSetupProvider,
    Cluster,
    LocalCloudProvider,
    NodeSpec,
    SqliteRepository,
)
from aioelasticluster.model.events import OrderSent
from aioelasticluster.model.records import Change
from aioelasticluster.model.tags import Tags
from aioelasticluster.providers.base import LaunchOrder
from aioelasticluster.repositories.base import Lease
from aioelasticluster.ssh.base import Accept, Reached, SshTarget
from aioelasticluster.ssh.transport import SshTransport

RESULTS = Path(__file__).parent / "results" / "launch.json"
OURS, TOFU, PLAIN = "aioelasticluster", "without rotation", "plain client"

#: How long (seconds) one measurement may take.
PATIENCE = 300.0

#: What this library promises of 50 nodes: figure, limit, unit.
LIMITS = (
    ("after_last_up_s", 1.5, "s from the last server up to the return of start"),
    ("cpu_ms_per_node", 12.0, "ms of client CPU per node beyond the first"),
    ("transactions_over", 0, "transactions beyond 10 + 5 per second of launching"),
    ("pss_mib", 25.0, "MiB (PSS) of an instance"),
    ("ideal_s", 15.0, "s until all servers are up"),
    ("stop_s", 3.0, "s to stop"),
)

# One measurement, in a process of its own


class CountingRepository(SqliteRepository):
    """Counts what is written, the lease included."""

    writes = 0

    async def transaction(self, lease: Lease, change: Change) -> None:
        self.writes += 1
        await super().transaction(lease, change)

    async def acquire(self, name: str, *, ttl: float) -> Lease:
        self.writes += 1
        return await super().acquire(name, ttl=ttl)

    async def renew(self, lease: Lease, *, ttl: float) -> Lease:
        self.writes += 1
        return await super().renew(lease, ttl=ttl)

    async def release(self, lease: Lease) -> None:
        self.writes += 1
        await super().release(lease)


class CountingTransport(SshTransport):
    """Counts connections: every probe opens one."""

    connections = 0

    async def probe(self, target: SshTarget, accept: Accept | None = None) -> Reached:
        self.connections += 1
        return await super().probe(target, accept)


async def measure_ours(
    count: int, key: Path, host_keys: Literal["injected", "tofu"] = "injected"
) -> Row:
    """Start and stop a cluster as users do."""
    cloud = LocalCloudProvider(key.parent / "cloud")
    repository = CountingRepository(key.parent / "clusters.sqlite")
    transport = CountingTransport(f"{key}.pub", key)
    cluster = Cluster(
        "benchmark",
        cloud,
        AnsibleSetupProvider({"compute": []}),
        "benchmark",
        f"{key}.pub",
        str(key),
        repository=repository,
        transport=transport,
        host_keys=host_keys,
    )
    cluster.add_nodes("compute", count, "any", "debian", "small", "default")
    meter = Meter()
    try:
        report = await cluster.start(timeout=PATIENCE / 2)
        row: Row = {"ready_s": meter.wall, "cpu_s": meter.cpu}
        returned = time.time()
        assert not report.unrotated
        row["transactions"] = repository.writes
        row["connections"] = transport.connections
        sent = [
            event.at
            async for event in cluster.events(since=0)
            if isinstance(event, OrderSent)
        ]
        logs = [cloud.log_of(node.instance_id) for node in cluster.get_all_nodes()]
        row |= seen_by_instances(logs, min(sent), returned)
    finally:
        meter = Meter()
        await cluster.stop()
    return row | {"stop_s": meter.wall}


async def measure_plain(count: int, key: Path) -> Row:
    """Launch, connect and terminate as a script does."""
    cloud = LocalCloudProvider(key.parent / "cloud")
    order = plain_order(count, key)
    meter = Meter()
    async with cloud:
        sent = time.time()
        launched = await cloud.launch(order)
        ids = [instance.id for instance in launched.instances]
        places = [(i.addresses[0], i.ssh_port) for i in launched.instances]
        try:
            tries = await asyncio.to_thread(reach_all, places, key)
            row: Row = {"ready_s": meter.wall, "cpu_s": meter.cpu}
            returned = time.time()
            logs = [cloud.log_of(identifier) for identifier in ids]
            row |= {"connections": tries} | seen_by_instances(logs, sent, returned)
        finally:
            meter = Meter()
            await cloud.terminate(ids)
            while await cloud.find():  # noqa: ASYNC110  only the cloud knows
                await asyncio.sleep(PAUSE)
    return row | {"stop_s": meter.wall}


def plain_order(count: int, key: Path) -> LaunchOrder:
    """Return an order for nodes that make their own host keys."""
    token = uuid.uuid4().hex
    spec = NodeSpec(
        kind="compute",
        image_id="any",
        image_user="debian",
        flavor="small",
        security_group="default",
    )
    tags = Tags(
        cluster_id=token,
        cluster="benchmark",
        repository="none",
        owner="none",
        token=token,
        kind="compute",
        names=tuple(f"compute{index:03d}" for index in range(1, count + 1)),
        login="debian",
    )
    return LaunchOrder(
        token=token,
        spec=spec,
        tags=tags,
        user_data="",
        public_key=Path(f"{key}.pub").read_text(),
    )


def seen_by_instances(logs: Iterable[Path], sent: float, returned: float) -> Row:
    """Return what the instances' logs and processes say of a launch."""
    boots, ups = [], []
    for log in logs:
        events = [json.loads(line) for line in log.read_text().splitlines()]
        boots += [event["pid"] for event in events if event["event"] == "boot"]
        ups += [event["at"] for event in events if event["event"] == "ssh-up"]
    return {
        "ideal_s": max(ups) - sent,
        "after_last_up_s": returned - max(ups),
        "pss_mib": max(map(pss_mib, boots)) if sys.platform == "linux" else None,
    }


def pss_mib(pid: int) -> float:
    """Return a process's share of memory: what it shares counts in proportion."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    (kib,) = (line.split()[1] for line in text.splitlines() if line.startswith("Pss:"))
    return int(kib) / 1024


async def measure_one(client: str, count: int, key: Path) -> Row:
    """Measure a client, by name."""
    if client == PLAIN:
        return await measure_plain(count, key)
    return await measure_ours(count, key, "injected" if client == OURS else "tofu")


# All measurements


def measured(client: str, count: int) -> Row:
    """Measure once, in a fresh interpreter and folder."""
    with fresh_key() as key:
        return measured_apart(__file__, client, str(count), str(key), patience=PATIENCE)


def median_row(client: str, count: int, rounds: int) -> Row:
    """Return the median of each figure."""
    found = [measured(client, count) for _ in range(rounds)]
    figures = {
        name: None if value is None else median(row[name] for row in found)
        for name, value in found[0].items()
    }
    return {"client": client, "nodes": count} | figures


def completed(rows: Sequence[Row]) -> list[Row]:
    """Add what follows from several figures."""
    ones = {row["client"]: row["cpu_s"] for row in rows if row["nodes"] == 1}
    return [row | _derived(row, ones.get(row["client"])) for row in rows]


def _derived(row: Row, one_node_cpu: float | None) -> Row:
    more = row["nodes"] - 1
    derived: Row = {"ready_over_ideal": row["ready_s"] / row["ideal_s"]}
    if more and one_node_cpu is not None:
        derived["cpu_ms_per_node"] = 1000 * (row["cpu_s"] - one_node_cpu) / more
    if "transactions" in row:
        allowed = 10 + 5 * row["ready_s"]
        derived["transactions_over"] = max(0, row["transactions"] - allowed)
    return derived


def ratios(rows: Sequence[Row]) -> list[Row]:
    """Return how many times the plain client's figures are ours."""
    by = {(row["client"], row["nodes"]): row for row in rows}
    figures = ("ready_s", "after_last_up_s", "cpu_s", "stop_s")
    return [
        {"nodes": count}
        | {name: by[PLAIN, count][name] / by[OURS, count][name] for name in figures}
        for client, count in by
        if client == OURS
    ]


def report(result: Mapping[str, Any]) -> None:
    """Print the figures as tables."""
    columns = {
        "client": "client",
        "nodes": "nodes",
        "ready_s": "ready",
        "ideal_s": "ideal",
        "ready_over_ideal": "÷ ideal",
        "after_last_up_s": "after last up",
        "cpu_s": "CPU",
        "cpu_ms_per_node": "ms per node",
        "connections": "connections",
        "transactions": "writes",
        "pss_mib": "MiB each",
        "stop_s": "stop",
    }
    names = ("nodes", "ready_s", "after_last_up_s", "cpu_s", "stop_s")
    show(
        table_of(result["rows"], columns, "Launching (seconds)"),
        table_of(
            result["ratios"], {name: columns[name] for name in names}, "Plain ÷ ours"
        ),
        table_of_limits(result["limits"]),
    )


def main() -> None:
    """Measure, print, and write what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nodes", default="1,10,50", help="sizes (default: 1,10,50)")
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where to write")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        client, count, key = given.one
        print(json.dumps(asyncio.run(measure_one(client, int(count), Path(key)))))
        return
    about = machine()
    rows = completed(
        [
            median_row(client, int(count), given.rounds)
            for count in given.nodes.split(",")
            for client in (OURS, TOFU, PLAIN)
        ]
    )
    result = {
        "benchmark": "launch",
        "machine": about,
        "rounds": given.rounds,
        "rows": rows,
        "ratios": ratios(rows),
        "limits": [
            verdict
            for row in rows
            if (row["client"], row["nodes"]) == (OURS, 50)
            for verdict in verdicts(row, LIMITS)
        ],
    }
    save(given.json, result)
    report(result)


if __name__ == "__main__":
    main()
