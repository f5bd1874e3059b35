"""How what we make is named and tagged, so that it can be found and removed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aioelasticluster.model.tags import PREFIX, SCHEMA
from aioelasticluster.providers.base import Preparation

#: The tag by which a cluster's belongings are found.
CLUSTER_ID = f"{PREFIX}cluster-id"
TOKEN = f"{PREFIX}token"
SCHEMA_TAG = f"{PREFIX}schema"


def own_name(name: str, cluster_id: str) -> str:
    """Return what a cluster's own resource is called that has the user's name."""
    return f"{name}-{cluster_id[:8]}"


def tags_for(kind: str, preparation: Preparation) -> dict[str, Any]:
    """Return the tags of a resource that is made for a cluster."""
    tags = {
        SCHEMA_TAG: SCHEMA,
        CLUSTER_ID: preparation.cluster_id,
        f"{PREFIX}cluster": preparation.cluster,
    }
    return {"ResourceType": kind, "Tags": tag_list(tags)}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as EC2 takes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
