"""Nodes, orders and Google's answers, as small as they may be."""

from __future__ import annotations

from typing import Any

from aioelasticluster.model.records import NodeSpec
from aioelasticluster.providers.base import LaunchOrder
from aioelasticluster.providers.google.naming import instance_name, labels
from aioelasticluster.providers.options import resource
from tests.providers.samples import CLUSTER, TOKEN, tags

IMAGE = "projects/debian-cloud/global/images/debian-12-v1"


def spec(**options: Any) -> NodeSpec:
    return NodeSpec(
        kind="compute",
        image_id="debian-cloud/family/debian-12",
        image_user="debian",
        flavor="n1-standard-1",
        security_group="default",
        options=options,
    )


def order(*names: str, zone: str = "us-central1-a", **options: Any) -> LaunchOrder:
    return LaunchOrder(
        token=TOKEN,
        spec=spec(**options),
        tags=tags(*(names or ("compute001",))),
        user_data="",
        public_key="ssh-ed25519 AAAA me\n",
        zone=zone,
        resources={resource("image", "debian-cloud/family/debian-12"): IMAGE},
    )


def described(node: str, *, status: str = "RUNNING", **facts: Any) -> dict[str, Any]:
    """Return an instance as Google gives it."""
    told = tags("compute001", "compute002").encoded()
    return {
        "name": instance_name(node, TOKEN),
        "zone": "https://compute.googleapis.com/compute/v1/projects/p/zones/z-a",
        "status": status,
        "labels": labels(CLUSTER, TOKEN),
        "metadata": {"items": [{"key": k, "value": v} for k, v in told.items()]},
        **facts,
    }
