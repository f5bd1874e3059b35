"""How servers, and what is made for them, are named and tagged.

Nova's tags are short, and admit no commas: they only say what to look for. All that a
server says of itself is in its metadata.
"""

from __future__ import annotations

from aioelasticluster.model.tags import PREFIX, SCHEMA

#: What all servers of ours bear.
OURS = f"{PREFIX}schema-{SCHEMA}"

#: Metadata of servers, beside the library's own tags.
FLOATING = f"{PREFIX}floating-network"
MADE = f"{PREFIX}made"

#: Nova admits so many characters in a server's name.
LONGEST_NAME = 255


def cluster_tag(cluster_id: str) -> str:
    """Return the tag of a cluster's servers."""
    return f"{PREFIX}cluster-{cluster_id}"


def token_tag(token: str) -> str:
    """Return the tag of an order's servers."""
    return f"{PREFIX}token-{token}"


def made_name(cluster_id: str) -> str:
    """Return what a cluster's own key pair and server group are called.

    They cannot be tagged, so their name says whose they are.
    """
    return f"{PREFIX}{cluster_id}"


def made_for(cluster_id: str) -> str:
    """Return the description of what Neutron keeps for a cluster."""
    return f"{PREFIX}{cluster_id}"


def server_name(cluster: str, token: str) -> str:
    """Return the name that an order's servers have before their number."""
    # The letter keeps a token of digits from being taken for the number.
    return f"{cluster[: LONGEST_NAME - 20]}-o{token[:8]}"
