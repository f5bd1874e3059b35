"""What orders of any cloud are about."""

from __future__ import annotations

from aioelasticluster.model.tags import Tags

CLUSTER = "0123456789abcdef0123456789abcdef"
TOKEN = "fedcba9876543210fedcba9876543210"


def tags(*names: str, token: str = TOKEN) -> Tags:
    """Return the tags of an order for nodes of these names."""
    return Tags(
        cluster_id=CLUSTER,
        cluster="demo",
        repository="memory-1",
        owner="me",
        token=token,
        kind="compute",
        names=names,
        login="debian",
    )
