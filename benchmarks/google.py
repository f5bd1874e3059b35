"""How long until N instances of Compute Engine are ready, and what it costs.

    python benchmarks/google.py --nodes 1,100,1000

Google is the test server of this repository, which answers each request after 0.1 s,
lets an instance boot for 20 s, and runs a real SSH server for each one, on this
machine: its CPU, and the hosts', are not the client's, but they compete for the same
cores.

A node is ready when a command (or, for this library, the probe) has run on it by SSH.
This library verifies every host key, rotates it, and records all it does in SQLite. The
peer is a script on apache-libcloud's driver, which does none of that: see
`google_clients.py`. It is given a token, for it would ask Google itself for one, and
the server's links with TLS, for it takes no others for links.

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

from google_clients import LIBCLOUD, OURS, Job, measure_libcloud, measure_ours
from measuring import Row, fresh_key, machine, measured_apart
from reporting import promised, save, show, table_of, table_of_limits

sys.path.insert(0, str(Path(__file__).parents[1]))  # the test server is not installed

RESULTS = Path(__file__).parent / "results" / "google.json"

#: How long (seconds) one measurement may take.
PATIENCE = 900.0

#: How the cloud behaves.
LATENCY, BOOT = 0.1, 20.0

CLIENTS = (OURS, LIBCLOUD)

#: From how many nodes on libcloud is left out, and why.
TOO_MANY, WHY = 500, "it would take minutes, for it makes nodes one by one"

#: What this library promises of so many nodes: figure, limit, unit.
LIMITS: Mapping[int, tuple[tuple[str, float, str], ...]] = {
    100: (
        ("start_requests", 20, "requests to start"),
        ("start_s", 24.0, "s until all are ready"),
        ("stop_requests", 110, "requests to stop"),
        ("stop_s", 5.0, "s until all are gone"),
    ),
    1000: (
        ("start_requests", 80, "requests to start"),
        ("start_s", 40.0, "s until all are ready"),
    ),
}


def measure_one(client: str, job: Job) -> Row:
    """Measure a client, by name."""
    if client == LIBCLOUD:
        return measure_libcloud(job)
    return asyncio.run(measure_ours(job))


def measured(client: str, count: int, latency: float, boot: float) -> Row:
    """Measure once, with a cloud and an interpreter that nobody has used."""
    from tests.clouds.gce.running import running_gce

    cloud = running_gce(hosts=True, latency=latency, boot_seconds=boot)
    with fresh_key() as key, cloud as gce:
        place = json.dumps(asdict(gce))
        row = measured_apart(
            __file__, client, str(count), str(key), place, patience=PATIENCE
        )
    return {"client": client, "nodes": count} | row


def clients_for(count: int) -> Iterable[str]:
    """Return which clients are measured with so many nodes."""
    return CLIENTS[:-1] if count >= TOO_MANY else CLIENTS


def side_by_side(counts: Iterable[int], latency: float, boot: float) -> Row:
    """Measure all clients with all sizes."""
    sizes = list(counts)
    rows = [
        measured(client, count, latency, boot)
        for count in sizes
        for client in clients_for(count)
    ]
    left_out = [
        {"client": LIBCLOUD, "nodes": count, "why": WHY}
        for count in sizes
        if LIBCLOUD not in clients_for(count)
    ]
    return {
        "latency_s": latency,
        "boot_s": boot,
        "rows": rows,
        "limits": promised(rows, OURS, LIMITS),
        "left_out": left_out,
    }


def report(result: Row) -> None:
    """Print the figures as tables."""
    columns = {
        "client": "client",
        "nodes": "nodes",
        "start_s": "ready",
        "start_requests": "requests",
        "start_cpu_s": "CPU",
        "start_server_cpu_s": "Google's CPU",
        "start_hosts_cpu_s": "hosts' CPU",
        "stop_s": "stop",
        "stop_requests": "requests to stop",
    }
    caption = "\n".join(
        f"{row['client']} with {row['nodes']} nodes is not measured: {row['why']}"
        for row in result["left_out"]
    )
    title = "Clusters on Compute Engine (seconds)"
    show(
        table_of(result["rows"], columns, title, caption),
        table_of_limits(result["limits"]),
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nodes", default="1,100,1000", help="sizes")
    parser.add_argument("--latency", type=float, default=LATENCY, help="seconds")
    parser.add_argument("--boot", type=float, default=BOOT, help="seconds")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where to write")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args()


def job_of(count: str, key: str, place: str) -> Job:
    """Return what a parent process asks for."""
    from tests.clouds.gce.running import GceEndpoint

    return Job(int(count), Path(key), GceEndpoint(**json.loads(place)))


def main() -> None:
    """Measure, print, and write what was found."""
    given = arguments()
    if given.one:
        client, *asked = given.one
        print(json.dumps(measure_one(client, job_of(*asked))))
        return
    sizes = map(int, given.nodes.split(","))
    found = side_by_side(sizes, given.latency, given.boot)
    result: Row = {"benchmark": "google", "machine": machine()} | found
    save(given.json, result)
    report(result)


if __name__ == "__main__":
    main()
