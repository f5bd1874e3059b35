"""Operations: what mutating requests answer, and how they come to their end."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.clouds.gce.moments import moment, new_id
from tests.clouds.gce.refusals import Failure

#: Which share of its time an operation is pending.
_PENDING = 0.25


@dataclass(frozen=True, slots=True)
class Tally:
    """What a bulk operation did in one zone."""

    target: int
    made: int
    failed: int
    rolled_back: bool

    def plain(self, share: float) -> dict[str, Any]:
        """Return it when a share of the time is over."""
        if share < 1.0:
            status = "ROLLING_BACK" if self.rolled_back and share > 0.5 else "CREATING"
        else:
            status = "DONE"
        made = int(self.made * min(1.0, 2 * share))
        return {
            "targetVmCount": self.target,
            "createdVmCount": made,
            "failedToCreateVmCount": self.failed if share > 0.5 else 0,
            "deletedVmCount": made if self.rolled_back and share >= 1.0 else 0,
            "status": status,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation. `place` is "zones/Z", "regions/R" or "global"."""

    project: str
    place: str
    kind: str
    target: str
    user: str
    began: float
    ends: float
    id: str = field(default_factory=new_id)
    target_id: str = ""
    name: str = ""
    request: str = ""
    group: str = ""
    failures: Sequence[Failure] = ()
    tallies: Mapping[str, Tally] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """How others refer to it."""
        return f"projects/{self.project}/{self.place}/operations/{self.name}"

    def status(self, now: float) -> str:
        """Return how far it is."""
        if now >= self.ends:
            return "DONE"
        started = self.began + (self.ends - self.began) * _PENDING
        return "RUNNING" if now >= started else "PENDING"

    def share(self, now: float) -> float:
        """Return which share of its time is over."""
        whole = self.ends - self.began
        return min(1.0, (now - self.began) / whole) if whole > 0 else 1.0

    def plain(self, root: str, now: float) -> dict[str, Any]:
        """Return it as replies have it; `root` is where URLs begin."""
        status = self.status(now)
        found: dict[str, Any] = {
            "kind": "compute#operation",
            "id": self.id,
            "name": self.name,
            "operationType": self.kind,
            "targetLink": f"{root}{self.target}",
            "status": status,
            "user": self.user,
            "progress": int(100 * self.share(now)),
            "insertTime": moment(self.began),
            "selfLink": f"{root}{self.path}",
        }
        found |= {
            name: value
            for name, value in (
                ("targetId", self.target_id),
                ("clientOperationId", self.request),
                ("operationGroupId", self.group),
            )
            if value
        }
        found |= self._place(root)
        if status != "PENDING":
            found["startTime"] = moment(self.began)
        if self.tallies:
            found["instancesBulkInsertOperationMetadata"] = self._by_location(now)
        if status == "DONE":
            found |= {"endTime": moment(self.ends), "progress": 100}
            found |= self._errors()
        return found

    def _place(self, root: str) -> dict[str, str]:
        kind, _, _ = self.place.partition("/")
        if kind == "global":
            return {}
        return {kind.removesuffix("s"): f"{root}projects/{self.project}/{self.place}"}

    def _by_location(self, now: float) -> dict[str, Any]:
        share = self.share(now)
        return {
            "perLocationStatus": {
                f"zones/{zone}": tally.plain(share)
                for zone, tally in self.tallies.items()
            }
        }

    def _errors(self) -> dict[str, Any]:
        if not self.failures:
            return {}
        first = self.failures[0]
        return {
            "error": {"errors": [one.plain() for one in self.failures]},
            "httpErrorStatusCode": first.status,
            "httpErrorMessage": first.words,
        }


def operation_name(now: float) -> str:
    """Return a name for a new operation."""
    token = secrets.token_hex
    return f"operation-{int(now * 1000)}-{token(6)}-{token(4)}-{token(4)}"
