"""What the parent keeps on disk of orders and instances, to outlive its own death."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import quote

from aioelasticluster.providers.local.layout import (
    InstanceFolder,
    StateFolder,
    write_json,
)

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class InstanceRecord:
    """One instance: what was ordered, and what has been asked of it since."""

    id: str
    token: str
    index: int
    node: str
    tags: dict[str, str]
    zone: str
    address: str
    port: int
    hidden_until: float = 0.0
    fault: str = ""
    paused: bool = False
    terminating: bool = False

    def save(self, folder: InstanceFolder) -> None:
        """Write the record."""
        write_json(folder.record, asdict(self))

    @classmethod
    def load(cls, folder: InstanceFolder) -> Self | None:
        """Read a record; None if the launch was cut off before it was written.

        Raises `ValueError` for what is there, but is not a record.
        """
        return _loaded(cls, folder.record)


@dataclass(slots=True, kw_only=True)
class OrderRecord:
    """One launch order: what makes a repeat the same, and what came of it.

    `granted` of its instances were to be made, `refused` says why the others were
    not; `made` is false if the parent died while it made them.
    """

    token: str
    digest: str
    granted: int
    refused: str = ""
    made: bool = False
    ended: list[int] = field(default_factory=list)

    def save(self, folder: StateFolder) -> None:
        """Write the record."""
        write_json(self._path(folder), asdict(self))

    def delete(self, folder: StateFolder) -> None:
        """Remove the record: its last instance is gone."""
        self._path(folder).unlink(missing_ok=True)

    def _path(self, folder: StateFolder) -> Path:
        return folder.orders / f"{quote(self.token, safe='')}.json"


def orders_in(folder: StateFolder) -> Iterator[OrderRecord]:
    """Yield all orders on disk."""
    for path in folder.orders.glob("*.json"):
        if (order := _loaded(OrderRecord, path)) is not None:
            yield order


def _loaded(cls: type[T], path: Path) -> T | None:
    """Read a record, also one of a newer version, which may have more fields."""
    known = getattr(cls, "__dataclass_fields__", {})
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{name: plain[name] for name in plain if name in known})
    except FileNotFoundError:
        return None
    except (AttributeError, TypeError) as fault:
        raise ValueError(f"{path} is not a record: {fault}") from fault
