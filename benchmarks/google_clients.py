"""What is measured on Compute Engine: this library, and a script on apache-libcloud.

Both launch their nodes, reach all of them by SSH, and end them. The script verifies no
host keys, records nothing and would lose its instances with its process.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from measuring import Row, reach_all
from phases import Phase

from aioelasticluster import (
    AnsibleSetupProvider,
    Cluster,
    GoogleCloudProvider,
    SqliteRepository,
)

if TYPE_CHECKING:
    from tests.clouds.gce.running import GceEndpoint

OURS, LIBCLOUD = "aioelasticluster", "apache-libcloud"

#: How often (seconds) the script looks.
LOOKING = 2.0

#: How long (seconds) a start may take.
STARTING = 300.0


@dataclass(frozen=True, slots=True)
class Job:
    """So many nodes, a key for them (`.pub` beside it), and where to launch them."""

    count: int
    key: Path
    gce: GceEndpoint

    @property
    def folder(self) -> Path:
        return self.key.parent


# This library


def our_cluster(job: Job) -> Cluster:
    """Return a cluster as users plan it, recorded on disk."""
    gce = job.gce
    cloud = GoogleCloudProvider(
        gce.project,
        gce.zone,
        credentials=str(gce.write_credentials(job.folder).first),
        api_root=gce.api_root,
    )
    cluster = Cluster(
        "benchmark",
        cloud,
        AnsibleSetupProvider({"compute": []}),
        "benchmark",
        f"{job.key}.pub",
        str(job.key),
        repository=SqliteRepository(job.folder / "clusters.sqlite"),
    )
    node = (gce.image_id, gce.login, gce.flavor, "default")
    cluster.add_nodes("compute", job.count, *node)
    return cluster


async def measure_ours(job: Job) -> Row:
    """Start and stop a cluster as users do."""
    cluster = our_cluster(job)
    start = Phase(job.gce)
    report = await cluster.start(timeout=STARTING)
    row = start.row("start")
    assert len(report.alive) == job.count
    assert not report.unrotated
    stop = Phase(job.gce)
    await cluster.stop()
    return row | stop.row("stop")


# apache-libcloud


def measure_libcloud(job: Job) -> Row:
    """Launch all with the driver's call for several nodes, connect from threads.

    The driver has a request for each node, and asks about each one's operation.
    """
    token = _token_file(job)
    start = Phase(job.gce)
    driver = _libcloud_driver(job, token)
    key = f"debian:{Path(f'{job.key}.pub').read_text().strip()}"
    disk = {
        "boot": True,
        "autoDelete": True,
        "initializeParams": {"sourceImage": job.gce.image_id},
    }
    nodes = driver.ex_create_multiple_nodes(
        "benchmark",
        job.gce.flavor,
        None,
        job.count,
        ex_disks_gce_struct=[disk],
        ex_metadata={"items": [{"key": "ssh-keys", "value": key}]},
        poll_interval=LOOKING,
        ignore_errors=False,
        timeout=STARTING,
    )
    running = driver.wait_until_running(nodes, wait_period=LOOKING, timeout=STARTING)
    reach_all([(addresses[0], 22) for _, addresses in running], job.key)
    row = start.row("start")
    stop = Phase(job.gce)
    ended = driver.ex_destroy_multiple_nodes(
        nodes, ignore_errors=False, poll_interval=LOOKING, timeout=STARTING
    )
    assert all(ended)
    return row | stop.row("stop")


def _token_file(job: Job) -> Path:
    """Write a token where the driver keeps its own: it would ask Google for one."""
    from tests.clouds.gce.client import Api

    path = job.folder / "token.json"
    path.touch(mode=0o600)
    until = datetime.now(UTC) + timedelta(hours=1)
    token = Api.of(job.gce).token
    told = {"access_token": token, "expire_time": f"{until:%Y-%m-%dT%H:%M:%SZ}"}
    path.write_text(json.dumps(told))
    return path


def _libcloud_driver(job: Job, token: Path) -> Any:
    from libcloud.compute.drivers.gce import (
        GCEConnection,
        GCENodeDriver,
        GCEResponse,
    )

    place = urlsplit(job.gce.url)

    class Response(GCEResponse):  # type: ignore[misc]  # theirs are untyped
        """Has links as Google gives them: the server's are without TLS."""

        def parse_body(self) -> Any:
            self.body = self.body.replace("http://", "https://")
            return super().parse_body()

    class Connection(GCEConnection):  # type: ignore[misc]  # theirs are untyped
        """Goes to the server: the driver's own arguments for that do not fit."""

        responseCls = Response  # noqa: N815  # theirs

        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, host=place.hostname, port=place.port, **named)

    class Driver(GCENodeDriver):  # type: ignore[misc]  # theirs are untyped
        connectionCls = Connection  # noqa: N815  # theirs

    return Driver(
        job.gce.account,
        str(job.gce.write_credentials(job.folder).first),
        datacenter=job.gce.zone,
        project=job.gce.project,
        credential_file=str(token),
        secure=False,
    )
