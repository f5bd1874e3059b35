"""How instances, and what is made for them, are named and labelled.

Labels admit small letters, digits, `-` and `_` only: they say what to look for. All
that an instance says of itself is in its metadata.
"""

from __future__ import annotations

import hashlib
import uuid

from aioelasticluster.model.tags import PREFIX, SCHEMA

SCHEMA_LABEL = f"{PREFIX}schema"
CLUSTER_LABEL = f"{PREFIX}cluster-id"
TOKEN_LABEL = f"{PREFIX}token"

#: Longest name that Google takes, and how much of it an order's token is.
LONGEST_NAME, TOKEN_DIGITS = 63, 12


def labels(cluster_id: str, token: str = "") -> dict[str, str]:
    """Return the labels of what belongs to a cluster, or to one of its orders."""
    found = {SCHEMA_LABEL: SCHEMA, CLUSTER_LABEL: cluster_id}
    return found | {TOKEN_LABEL: token} if token else found


def instance_name(node: str, token: str) -> str:
    """Return the name of a node's instance, another one with every order.

    So a repeated order means the same instances, and a new one never those that are
    still being deleted.
    """
    name = node.lower() if node[0].isalpha() else f"n{node}"
    room = LONGEST_NAME - TOKEN_DIGITS - 1
    if len(name) > room:  # its end may be all that tells it from others
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        name = f"{name[: room - 9]}-{digest}"
    return f"{name}-{token[:TOKEN_DIGITS]}"


def cluster_name(cluster_id: str, what: str = "") -> str:
    """Return what a cluster's own firewall rules, and its network tag, are called."""
    return f"{PREFIX}{cluster_id}-{what}" if what else f"{PREFIX}{cluster_id}"


def request_id(*parts: str) -> str:
    """Return the id that makes a request's repetition harmless."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, " ".join(parts)))


def token_id(token: str) -> str:
    """Return an order's token as the request id that it is."""
    return str(uuid.UUID(token))


def instance_id(zone: str, name: str) -> str:
    """Return what identifies an instance: Google names them within a zone."""
    return f"{zone}/{name}"


def path_of(id: str) -> str:
    """Return where an instance is below its project."""
    zone, _, name = id.partition("/")
    return f"/zones/{zone}/instances/{name}"


def last_part(url: str) -> str:
    """Return the name at the end of a resource's URL."""
    return url.rpartition("/")[2]


def region_of(zone: str) -> str:
    """Return the region of a zone; a region is its own."""
    return zone.rpartition("-")[0] if is_zone(zone) else zone


def is_zone(place: str) -> bool:
    """Tell `us-central1-a` from `us-central1`."""
    last = place.rpartition("-")[2]
    return len(last) == 1 and last.isalpha()
