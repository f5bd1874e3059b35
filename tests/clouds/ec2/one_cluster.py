"""One cluster on another's server: its wishes, its orders, and boto3 to look at it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import boto3

from aioelasticluster import AnsibleSetupProvider, Cluster
from aioelasticluster.model.records import NodeSpec
from aioelasticluster.model.tags import Tags
from aioelasticluster.providers.base import (
    AbstractCloudProvider,
    Instance,
    LaunchOrder,
    Preparation,
)
from tests.clouds.ec2.second_opinions import MOTO_IMAGE, MotoProvider

REGION = "us-east-1"


@dataclass
class OneCluster:
    """A cluster that wants what it is asked to want, in an account of its own."""

    url: str
    kind: type[MotoProvider] = MotoProvider
    image_id: str = MOTO_IMAGE
    access_key: str = field(default_factory=lambda: uuid.uuid4().hex)
    cluster_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        self.provider = self.another()
        self.public_key = public_key()
        self.look: Any = boto3.client(
            "ec2",
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key="secret",
        )

    @property
    def short(self) -> str:
        """What the names of the cluster's own resources end with."""
        return self.cluster_id[:8]

    def another(self, **options: Any) -> MotoProvider:
        return self.kind(self.url, REGION, self.access_key, "secret", **options)

    def preparation(self, **changes: Any) -> Preparation:
        return Preparation(
            cluster_id=self.cluster_id,
            cluster="demo",
            key_name="mine",
            public_key=self.public_key,
            specs=[self.spec(**changes)],
        )

    def spec(self, **changes: Any) -> NodeSpec:
        facts = {
            "kind": "compute",
            "image_id": self.image_id,
            "image_user": "debian",
            "flavor": "t3.micro",
            "security_group": "default",
        }
        given = {name: changes.pop(name) for name in list(changes) if name in facts}
        return NodeSpec(**facts | given, options=changes)

    async def prepare(self, **changes: Any) -> dict[str, str]:
        return dict(await self.provider.prepare(self.preparation(**changes)))

    async def launch(
        self,
        *names: str,
        zone: str = "",
        resources: Mapping[str, str] | None = None,
        **changes: Any,
    ) -> tuple[Instance, ...]:
        """Launch nodes, after preparing for them if `resources` are not given."""
        token, spec = uuid.uuid4().hex, self.spec(**changes)
        tags = Tags(
            cluster_id=self.cluster_id,
            cluster="demo",
            repository="memory-1",
            owner="somebody",
            token=token,
            kind="compute",
            names=names or ("compute001",),
            login="debian",
        )
        order = LaunchOrder(
            token=token,
            spec=spec,
            tags=tags,
            user_data="#cloud-config\n{}\n",
            public_key=self.public_key,
            zone=zone,
            resources=resources or await self.prepare(**changes),
        )
        return (await self.provider.launch(order)).instances

    def like_the_overview_s(
        self, provider: AbstractCloudProvider, folder: Path
    ) -> Cluster:
        """Return a cluster as the overview's sample program makes it."""
        key = asyncssh.generate_private_key("ssh-ed25519")
        (folder / "key").touch(mode=0o600)
        key.write_private_key(folder / "key")
        key.write_public_key(folder / "key.pub")
        cluster = Cluster(
            "my-cluster",
            provider,
            AnsibleSetupProvider({"frontend": [], "compute": []}),
            "ssh_key_name",
            str(folder / "key.pub"),
            str(folder / "key"),
        )
        node = (self.image_id, "debian", "t3.micro", "default")
        cluster.add_node("frontend", *node)
        cluster.add_nodes("compute", 2, *node)
        return cluster

    def described(self, instance: Instance) -> dict[str, Any]:
        """Return what boto3 is told of an instance."""
        answer = self.look.describe_instances(InstanceIds=[instance.id])
        found: dict[str, Any] = answer["Reservations"][0]["Instances"][0]
        return found

    def keys(self) -> dict[str, dict[str, Any]]:
        pairs = self.look.describe_key_pairs(IncludePublicKey=True)["KeyPairs"]
        return {pair["KeyName"]: pair for pair in pairs}

    def groups(self) -> dict[str, dict[str, Any]]:
        groups = self.look.describe_security_groups()["SecurityGroups"]
        return {group["GroupName"]: group for group in groups}


def public_key(algorithm: str = "ssh-ed25519") -> str:
    return asyncssh.generate_private_key(algorithm).export_public_key().decode()


def tags_of(resource: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in resource["Tags"]}
