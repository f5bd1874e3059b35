"""What is measured on EC2: this library, and two ways in which scripts do it.

Each client launches its nodes, reaches all of them by SSH, and ends them. The scripts
verify no host keys, record nothing and would lose their instances with their process.
They are given what is best for them: whole batches in a request, and a pool of threads
for SSH; and they are asked to wait no longer between two looks than this library.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from measuring import Row, reach_all
from phases import Phase

from aioelasticluster import (
    AnsibleSetupProvider,
    BotoCloudProvider,
    Cluster,
    SqliteRepository,
)
from aioelasticluster.ssh.base import Accept, Reached, SshTarget
from aioelasticluster.ssh.transport import SshTransport

if TYPE_CHECKING:
    from tests.clouds.ec2.running import Ec2Endpoint

OURS, TOFU = "aioelasticluster", "without rotation"
BOTO3, LIBCLOUD = "boto3 + threads", "apache-libcloud"

HostKeys: TypeAlias = Literal["injected", "tofu"]

#: Most instances in one request of the scripts, and ids in one of boto3's waiters.
BATCH = 100

#: How often (seconds) the scripts look.
LOOKING = 2.0

#: How long (seconds) a start may take.
STARTING = 300.0


@dataclass(frozen=True, slots=True)
class Job:
    """So many nodes, a key for them (`.pub` beside it), and where to launch them."""

    count: int
    key: Path
    ec2: Ec2Endpoint

    @property
    def public_key(self) -> str:
        return Path(f"{self.key}.pub").read_text()

    def batches(self) -> list[int]:
        """Return how many nodes each request is to launch."""
        whole, rest = divmod(self.count, BATCH)
        return [BATCH] * whole + [rest] * bool(rest)


# This library


class NoSsh(SshTransport):
    """Takes every node for alive: where there are no hosts behind the instances."""

    async def probe(self, target: SshTarget, accept: Accept | None = None) -> Reached:
        return Reached(host_keys=target.host_keys)


def our_cluster(
    job: Job,
    *,
    host_keys: HostKeys = "injected",
    transport: SshTransport | None = None,
) -> Cluster:
    """Return a cluster as users plan it, recorded on disk."""
    ec2 = job.ec2
    cloud = BotoCloudProvider(ec2.url, ec2.region, ec2.access_key, ec2.secret_key)
    cluster = Cluster(
        "benchmark",
        cloud,
        AnsibleSetupProvider({"compute": []}),
        "benchmark",
        f"{job.key}.pub",
        str(job.key),
        repository=SqliteRepository(job.key.parent / "clusters.sqlite"),
        host_keys=host_keys,
        transport=transport,
    )
    node = (ec2.image_id, ec2.login, ec2.flavor, "default")
    cluster.add_nodes("compute", job.count, *node)
    return cluster


async def measure_ours(job: Job, host_keys: HostKeys) -> Row:
    """Start and stop a cluster as users do."""
    cluster = our_cluster(job, host_keys=host_keys)
    start = Phase(job.ec2)
    report = await cluster.start(timeout=STARTING)
    row = start.row("start")
    assert not report.unrotated
    stop = Phase(job.ec2)
    await cluster.stop()
    return row | stop.row("stop")


# boto3


def measure_boto3(job: Job) -> Row:
    """Launch batches, wait with boto3's waiters, connect from threads."""
    start = Phase(job.ec2)
    import boto3

    ec2 = boto3.client(
        "ec2",
        region_name=job.ec2.region,
        endpoint_url=job.ec2.url,
        aws_access_key_id=job.ec2.access_key,
        aws_secret_access_key=job.ec2.secret_key,
    )
    ec2.import_key_pair(KeyName="benchmark", PublicKeyMaterial=job.public_key)
    batches = [_boto3_launch(ec2, job, count) for count in job.batches()]
    addresses: list[tuple[str, int]] = []
    for ids in batches:
        _boto3_wait(ec2, "instance_running", ids)
        addresses += _boto3_addresses(ec2, ids)
    reach_all(addresses, job.key)
    row = start.row("start")
    stop = Phase(job.ec2)
    for ids in batches:
        ec2.terminate_instances(InstanceIds=ids)
    for ids in batches:
        _boto3_wait(ec2, "instance_terminated", ids)
    return row | stop.row("stop")


def _boto3_launch(ec2: Any, job: Job, count: int) -> list[str]:
    tags = [{"Key": "Name", "Value": "benchmark"}]
    answer = ec2.run_instances(
        ImageId=job.ec2.image_id,
        InstanceType=job.ec2.flavor,
        MinCount=count,
        MaxCount=count,
        KeyName="benchmark",
        SecurityGroups=["default"],
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )
    return [instance["InstanceId"] for instance in answer["Instances"]]


def _boto3_wait(ec2: Any, name: str, ids: list[str]) -> None:
    waiter = ec2.get_waiter(name)
    waiter.wait(
        InstanceIds=ids,
        WaiterConfig={"Delay": LOOKING, "MaxAttempts": int(STARTING / LOOKING)},
    )


def _boto3_addresses(ec2: Any, ids: list[str]) -> list[tuple[str, int]]:
    answer = ec2.describe_instances(InstanceIds=ids)
    return [
        (instance["PublicIpAddress"], 22)
        for reservation in answer["Reservations"]
        for instance in reservation["Instances"]
    ]


# apache-libcloud


def measure_libcloud(job: Job) -> Row:
    """Launch batches, wait as the driver waits, connect from threads.

    It signs as AWS's older regions want it unless it is told; it has no call that ends
    several nodes.
    """
    start = Phase(job.ec2)
    from libcloud.compute.base import NodeImage, NodeSize
    from libcloud.compute.providers import get_driver
    from libcloud.compute.types import NodeState, Provider

    place = urlsplit(job.ec2.url)
    driver = get_driver(Provider.EC2)(
        job.ec2.access_key,
        job.ec2.secret_key,
        region=job.ec2.region,
        host=place.hostname,
        port=place.port,
        secure=False,
        signature_version="4",
    )
    driver.import_key_pair_from_string("benchmark", job.public_key)
    nodes: list[Any] = []
    for count in job.batches():
        made = driver.create_node(
            name="benchmark",
            image=NodeImage(job.ec2.image_id, "image", driver),
            size=NodeSize(job.ec2.flavor, "flavor", 0, 0, None, 0, driver),
            ex_keyname="benchmark",
            ex_security_groups=["default"],
            ex_mincount=count,
            ex_maxcount=count,
        )
        nodes += made if isinstance(made, list) else [made]
    running = driver.wait_until_running(nodes, wait_period=LOOKING, timeout=STARTING)
    reach_all([(ips[0], 22) for _, ips in running], job.key)
    row = start.row("start")
    stop = Phase(job.ec2)
    for node in nodes:
        driver.destroy_node(node)
    while any(node.state != NodeState.TERMINATED for node in driver.list_nodes()):
        time.sleep(LOOKING)
    return row | stop.row("stop")
