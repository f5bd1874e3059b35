"""Nodes, orders and EC2's answers, as small as they may be."""

from __future__ import annotations

from typing import Any

from aioelasticluster.model.records import NodeSpec
from aioelasticluster.providers.base import LaunchOrder
from aioelasticluster.providers.options import resource
from tests.providers.samples import TOKEN, tags


def spec(**options: Any) -> NodeSpec:
    return NodeSpec(
        kind="compute",
        image_id="ami-1",
        image_user="debian",
        flavor="c5.large",
        security_group="default",
        options=options,
    )


def order(*names: str, zone: str = "", **options: Any) -> LaunchOrder:
    looked_up = {"key": "k", resource("image", "ami-1"): "ami-1"}
    looked_up[resource("device", "ami-1")] = "/dev/xvda"
    looked_up[resource("group", "default")] = "sg-1"
    for name in (*options.get("subnets", ()), *options.get("network_ids", ())):
        looked_up[resource("subnet", name)] = f"id-of-{name}"
    if group := options.get("placement_group"):
        looked_up[resource("placement-group", group)] = group
    return LaunchOrder(
        token=TOKEN,
        spec=spec(**options),
        tags=tags(*(names or ("compute001",))),
        user_data="",
        public_key="",
        zone=zone,
        resources=looked_up,
    )


def described(
    id: str, *, state: str = "running", index: int = 0, **facts: Any
) -> dict[str, Any]:
    """Return an instance as botocore gives it."""
    told = tags("compute001", "compute002", token=facts.pop("token", TOKEN)).encoded()
    return {
        "InstanceId": id,
        "AmiLaunchIndex": index,
        "State": {"Name": state},
        "Tags": [{"Key": key, "Value": value} for key, value in told.items()],
        **facts,
    }
