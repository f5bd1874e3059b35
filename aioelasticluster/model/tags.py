"""Tags, schema 1: what every instance of ours says of itself.

A value has at most 60 characters, since Nova's tags have no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from aioelasticluster.model.names import format_hostlist, parse_hostlist

SCHEMA = "1"
PREFIX = "aioec-"
LONGEST = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """Who an instance belongs to; enough to manage it without any record."""

    cluster_id: str
    cluster: str
    repository: str
    owner: str
    token: str
    kind: str
    names: tuple[str, ...]
    login: str
    ssh_port: int = 22

    def encoded(self) -> dict[str, str]:
        """Return the tags as key and text; a provider maps the alphabet further."""
        return {
            f"{PREFIX}schema": SCHEMA,
            f"{PREFIX}cluster-id": self.cluster_id,
            f"{PREFIX}cluster": self.cluster,
            f"{PREFIX}repository": self.repository,
            f"{PREFIX}owner": self.owner,
            f"{PREFIX}token": self.token,
            f"{PREFIX}kind": self.kind,
            f"{PREFIX}names": format_hostlist(self.names),
            f"{PREFIX}login": self.login,
            f"{PREFIX}ssh-port": str(self.ssh_port),
        }

    @classmethod
    def decoded(cls, tags: Mapping[str, str]) -> Self | None:
        """Read tags back; None if the instance is not of our schema.

        A list of names or a port that somebody has spoilt is left out: the instance
        is ours nevertheless.
        """
        if tags.get(f"{PREFIX}schema") != SCHEMA:
            return None

        port = tags.get(f"{PREFIX}ssh-port", "")
        return cls(
            cluster_id=tags.get(f"{PREFIX}cluster-id", ""),
            cluster=tags.get(f"{PREFIX}cluster", ""),
            repository=tags.get(f"{PREFIX}repository", ""),
            owner=tags.get(f"{PREFIX}owner", ""),
            token=tags.get(f"{PREFIX}token", ""),
            kind=tags.get(f"{PREFIX}kind", ""),
            names=_names(tags.get(f"{PREFIX}names", "")),
            login=tags.get(f"{PREFIX}login", ""),
            ssh_port=int(port) if port.isdecimal() else 22,
        )


@lru_cache(maxsize=256)
def _names(text: str) -> tuple[str, ...]:
    """Read a list of names, once for all instances of an order: there may be many."""
    try:
        return parse_hostlist(text)
    except ValueError:
        return ()


def names_fit(names: tuple[str, ...]) -> bool:
    """Tell whether a batch's list of names fits into one tag."""
    return len(format_hostlist(names)) <= LONGEST
