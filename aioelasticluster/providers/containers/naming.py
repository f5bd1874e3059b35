"""What things are called in an engine, and which labels say whose they are."""

from __future__ import annotations

from aioelasticluster.model.tags import PREFIX, SCHEMA

#: What an image for nodes is called where nothing else is said.
DEFAULT_TAG = "aioelasticluster-host:latest"

#: The label of everything that is ours.
OURS = f"{PREFIX}schema={SCHEMA}"

#: The label with a container's place in its order, and the one with its order.
INDEX = f"{PREFIX}index"
TOKEN = f"{PREFIX}token"


def cluster_label(cluster_id: str) -> str:
    """Return the label of all that belongs to a cluster."""
    return f"{PREFIX}cluster-id={cluster_id}"


def token_label(token: str) -> str:
    """Return the label of an order's containers."""
    return f"{TOKEN}={token}"


def made_labels(cluster_id: str) -> dict[str, str]:
    """Return the labels of a network or volume that is made for a cluster."""
    return dict(label.split("=", 1) for label in (OURS, cluster_label(cluster_id)))


def made_name(name: str, cluster_id: str) -> str:
    """Return the name of what is made for a cluster."""
    return f"{name}-{cluster_id[:8]}"


def container_name(cluster: str, node: str, token: str) -> str:
    """Return an order's container's name: the same whenever the order is repeated."""
    return f"{cluster}-{node}-{token[:12]}"


def instance_of(token: str, index: int | str) -> str:
    """Return what tells a container from all others, also from its image's origin."""
    return f"{token}-{index}"


def renamed(name: str, repository: str) -> str:
    """Return a container's name that says which repository has it now.

    Labels are there for good, a name is not.
    """
    return f"{name.partition('.')[0]}.{repository}"


def repository_in(name: str) -> str:
    """Return the repository that a container's name tells of, "" if none."""
    return name.partition(".")[2]
