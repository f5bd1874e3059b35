"""How long until N instances of EC2 are ready, and what it costs, against two peers.

    python benchmarks/ec2.py --nodes 1,100,1000
    python benchmarks/ec2.py --throttled

EC2 is the test server of this repository, which answers each request after 0.1 s, lets
an instance boot for 20 s, and runs a real SSH server for each one, on this machine: its
CPU, and the hosts', are not the client's, but they compete for the same cores.

A node is ready when a command (or, for this library, the probe) has run on it by SSH.
This library verifies every host key, rotates it, and records all it does in SQLite;
the row "without rotation" (`host_keys="tofu"`) shows what rotation costs, most of it on
the hosts. The peers are scripts on boto3, and on apache-libcloud, which do none of
that: see `ec2_clients.py`. Whoever looks does so every two seconds, so up to two of
them are luck.

With `--throttled` the server has AWS's published limits for an account, and no hosts:
1,000 nodes are ten requests, of which five may be sent at once, and two a second after
that.

Every measurement has an interpreter, and a server, of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ec2_clients import (
    BOTO3,
    LIBCLOUD,
    OURS,
    TOFU,
    Job,
    NoSsh,
    measure_boto3,
    measure_libcloud,
    measure_ours,
    our_cluster,
)
from measuring import Row, fresh_key, machine, measured_apart
from reporting import promised, save, show, table_of, table_of_limits

sys.path.insert(0, str(Path(__file__).parents[1]))  # the test server is not installed

RESULTS = Path(__file__).parent / "results" / "ec2.json"

THROTTLED = "throttled"

#: How long (seconds) one measurement may take.
PATIENCE = 900.0

#: How the cloud behaves.
LATENCY, BOOT = 0.1, 20.0

CLIENTS = (OURS, TOFU, BOTO3, LIBCLOUD)

#: From how many nodes on libcloud is left out, and why.
TOO_MANY, WHY = 500, "it would take minutes, for it ends nodes one by one"

#: The least time (seconds) from the first to the last request for so many nodes.
SPREAD = {1000: 2.5}

#: What this library promises of so many nodes: figure, limit, unit.
LIMITS: Mapping[int, tuple[tuple[str, float, str], ...]] = {
    100: (
        ("start_requests", 20, "requests to start"),
        ("start_s", 24.0, "s until all are ready"),
        ("stop_requests", 8, "requests to stop"),
    ),
    1000: (
        ("start_requests", 80, "requests to start"),
        ("start_s", 40.0, "s until all are ready"),
    ),
}


# One measurement, in a process of its own


def measure_one(client: str, job: Job) -> Row:
    """Measure a client, by name."""
    if client == BOTO3:
        return measure_boto3(job)
    if client == LIBCLOUD:
        return measure_libcloud(job)
    if client == THROTTLED:
        return asyncio.run(measure_throttled(job))
    return asyncio.run(measure_ours(job, "tofu" if client == TOFU else "injected"))


async def measure_throttled(job: Job) -> Row:
    """Launch where AWS's limits hold; say how often they were overstepped."""
    cluster = our_cluster(job, transport=NoSsh(f"{job.key}.pub", job.key))
    await cluster.start(timeout=PATIENCE / 2)
    requests = job.ec2.requests()
    await cluster.stop()
    refused = [r for r in requests if r["code"] == "RequestLimitExceeded"]
    launches = [r["at"] for r in requests if r["action"] == "RunInstances"]
    return {
        "launches": len(launches),
        "refused": len(refused),
        "spread_s": max(launches) - min(launches),
    }


# All measurements


def measured(client: str, count: int, behaviour: Mapping[str, Any]) -> Row:
    """Measure once, with a cloud and an interpreter that nobody has used."""
    from tests.clouds.ec2.running import running_ec2

    with fresh_key() as key, running_ec2(**behaviour) as ec2:
        place = json.dumps(asdict(ec2))
        row = measured_apart(
            __file__, client, str(count), str(key), place, patience=PATIENCE
        )
    return {"client": client, "nodes": count} | row


def clients_for(count: int) -> Iterable[str]:
    """Return which clients are measured with so many nodes."""
    return CLIENTS[:-1] if count >= TOO_MANY else CLIENTS


def side_by_side(counts: Iterable[int], latency: float, boot: float) -> Row:
    """Measure all clients with all sizes."""
    behaviour = {"hosts": True, "latency": latency, "boot_seconds": boot}
    rows = [
        measured(client, count, behaviour)
        for count in counts
        for client in clients_for(count)
    ]
    return {
        "latency_s": latency,
        "boot_s": boot,
        "rows": rows,
        "limits": promised(rows, OURS, LIMITS),
        "left_out": [
            {"client": LIBCLOUD, "nodes": count, "why": WHY}
            for count in counts
            if LIBCLOUD not in clients_for(count)
        ],
    }


def throttled(counts: Iterable[int], latency: float) -> Row:
    """Measure launches where AWS's limits hold."""
    behaviour = {"throttle": True, "latency": latency, "boot_seconds": 1.0}
    rows = [measured(THROTTLED, count, behaviour) for count in counts]
    least = [SPREAD.get(row["nodes"]) for row in rows]
    return {
        "latency_s": latency,
        "rows": [row | {"least_s": s} for row, s in zip(rows, least, strict=True)],
    }


def report(result: Mapping[str, Any]) -> None:
    """Print the figures as tables."""
    columns = {
        "client": "client",
        "nodes": "nodes",
        "start_s": "ready",
        "start_requests": "requests",
        "start_cpu_s": "CPU",
        "start_server_cpu_s": "EC2's CPU",
        "start_hosts_cpu_s": "hosts' CPU",
        "stop_s": "stop",
        "stop_requests": "requests to stop",
    }
    limited = {
        "nodes": "nodes",
        "launches": "launch requests",
        "refused": "refused",
        "spread_s": "first to last",
        "least_s": "least possible",
    }
    found = result.get("side_by_side", {})
    caption = "\n".join(
        f"{row['client']} with {row['nodes']} nodes is not measured: {row['why']}"
        for row in found.get("left_out", ())
    )
    show(
        table_of(found.get("rows", ()), columns, "Clusters on EC2 (seconds)", caption),
        table_of_limits(found.get("limits", ())),
        table_of(
            result.get(THROTTLED, {}).get("rows", ()), limited, "Within AWS's limits"
        ),
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nodes", default="", help="sizes (default: 1,100,1000)")
    parser.add_argument("--throttled", action="store_true", help="AWS's limits hold")
    parser.add_argument("--latency", type=float, default=LATENCY, help="seconds")
    parser.add_argument("--boot", type=float, default=BOOT, help="seconds")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where to write")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args()


def job_of(count: str, key: str, place: str) -> Job:
    """Return what a parent process asks for."""
    from tests.clouds.ec2.running import Ec2Endpoint

    known = json.loads(place)
    lists = ("flavors", "zones")
    return Job(
        int(count),
        Path(key),
        Ec2Endpoint(**known | {name: tuple(known[name]) for name in lists}),
    )


def main() -> None:
    """Measure, print, and write what was found beside what the other run has found."""
    given = arguments()
    if given.one:
        client, *asked = given.one
        print(json.dumps(measure_one(client, job_of(*asked))))
        return
    result: Row = {"benchmark": "ec2"}
    if given.json.exists():
        result = json.loads(given.json.read_text())
    about = {"machine": machine()}
    if given.throttled:
        sizes = map(int, (given.nodes or "1000").split(","))
        result[THROTTLED] = about | throttled(sizes, given.latency)
    else:
        sizes = map(int, (given.nodes or "1,100,1000").split(","))
        found = side_by_side(list(sizes), given.latency, given.boot)
        result["side_by_side"] = about | found
    save(given.json, result)
    report(result)


if __name__ == "__main__":
    main()
