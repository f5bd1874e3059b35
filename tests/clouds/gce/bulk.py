"""Makes many instances in one request: all of them, enough of them, or none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.clouds.gce.actions import Call, Reply, action, begun, once, request_id
from tests.clouds.gce.catalogue import zones
from tests.clouds.gce.instances import Instance, LaunchPlan
from tests.clouds.gce.launching import (
    Room,
    checked_host_name,
    launched,
    name_failure,
)
from tests.clouds.gce.listing import check_reachable
from tests.clouds.gce.moments import new_id
from tests.clouds.gce.operations import Operation, Tally
from tests.clouds.gce.ordering import Order
from tests.clouds.gce.refusals import Failure, RefusalError, invalid, required, too_few

#: How many instances one request makes at most.
_MOST = 5000

_NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
_PATTERN = re.compile(r"([a-z](?:[-a-z0-9]*)?)(#{1,18})([-a-z0-9]*)")


@action("instances.bulkInsert")
def bulk_insert(call: Call) -> Reply:
    """Make instances in one zone."""
    if "locationPolicy" in call.body:
        raise invalid("resource.locationPolicy", "", "Only for regional requests.")
    return once(call, lambda: _inserted(call, [call.zone]))


@action("regionInstances.bulkInsert")
def bulk_insert_somewhere(call: Call) -> Reply:
    """Make instances in zones of a region."""
    return once(call, lambda: _inserted(call, _allowed_zones(call)))


def _allowed_zones(call: Call) -> list[str]:
    region = call.path["region"]
    policy = call.body.get("locationPolicy", {})
    found = dict.fromkeys(zones(region), "")
    for place, given in policy.get("locations", {}).items():
        zone = place.rpartition("zones/")[2]
        if "/" not in place or zone not in found:
            raise invalid(
                "resource.locationPolicy.locations.key", place, f"Not in {region}."
            )
        found[zone] = given.get("preference", "ALLOW")
    if "zones" in policy:
        raise RefusalError(501, "notImplemented", "locationPolicy.zones")
    chosen = [zone for zone, preference in found.items() if preference != "DENY"]
    return [zone for zone in chosen if zone not in call.behaviour.unreachable]


@dataclass(slots=True)
class Batch:
    """One request on its way: what was made, and what was not."""

    call: Call
    plans: Sequence[LaunchPlan]
    hosts: Mapping[str, str]
    least: int
    room: Room
    made: list[tuple[LaunchPlan, str]] = field(default_factory=list)
    failed: list[tuple[LaunchPlan, str, Failure]] = field(default_factory=list)
    targets: dict[str, int] = field(default_factory=dict)

    def decide(self) -> None:
        """Find a place for each instance."""
        for name, plan in self._places():
            self.targets[plan.zone] = self.targets.get(plan.zone, 0) + 1
            failure = name_failure(self.call, plan, name) or self.room.take(plan)
            if failure is None:
                self.made.append((plan, name))
            else:
                self.failed.append((plan, name, failure))

    def _places(self) -> list[tuple[str, LaunchPlan]]:
        """Return the zone's plan for each name."""
        policy = self.call.body.get("locationPolicy", {})
        shape = policy.get("targetShape", "ANY_SINGLE_ZONE")
        left = {plan.zone: self.room.left(plan) for plan in self.plans}
        if shape == "ANY_SINGLE_ZONE":
            best = max(self.plans, key=lambda plan: left[plan.zone])
            return [(name, best) for name in self.hosts]
        found = []
        used = dict.fromkeys(left, 0)
        for name in self.hosts:
            free = [plan for plan in self.plans if used[plan.zone] < left[plan.zone]]
            choice = (free or list(self.plans))[0]
            if shape == "BALANCED":
                choice = min(free or self.plans, key=lambda plan: used[plan.zone])
            used[choice.zone] += 1
            found.append((name, choice))
        return found

    @property
    def rolled_back(self) -> bool:
        """Whether too few could be made, so that none is to stay."""
        return len(self.made) < self.least

    def carried_out(self) -> Operation:
        """Make what can be made, and return the operation that tells of it."""
        call, group = self.call, new_id()
        ends = call.now + call.behaviour.operation_seconds
        until = ends if self.rolled_back else None
        for plan, name in self.made:
            one = launched(call, plan, name, self.hosts[name], until=until)
            reason = [too_few(self.least)] if self.rolled_back else []
            self._enter(group, plan, name, ends, reason, one)
        for plan, name, failure in self.failed:
            self._enter(group, plan, name, ends, [failure])
        return begun(
            call,
            kind="bulkInsert",
            target=f"projects/{call.project.id}/{call.place}",
            request=request_id(call),
            group=group,
            ends=ends,
            failures=self._failures(),
            tallies=self._tallies(),
        )

    def _enter(
        self,
        group: str,
        plan: LaunchPlan,
        name: str,
        ends: float,
        failures: list[Failure],
        one: Instance | None = None,
    ) -> None:
        """Enter the operation of a single instance."""
        place = f"zones/{plan.zone}"
        begun(
            self.call,
            place=place,
            kind="insert",
            target=f"projects/{self.call.project.id}/{place}/instances/{name}",
            target_id=one.id if one else new_id(),
            group=group,
            ends=ends,
            failures=failures,
        )

    def _failures(self) -> list[Failure]:
        causes = {failure.code: failure for _, _, failure in self.failed}
        if self.rolled_back:
            return [too_few(self.least), *causes.values()]
        return list(causes.values()) if self.call.behaviour.partial_errors else []

    def _tallies(self) -> dict[str, Tally]:
        def count(entries: Sequence[tuple[Any, ...]], zone: str) -> int:
            return sum(entry[0].zone == zone for entry in entries)

        return {
            zone: Tally(
                target,
                count(self.made, zone),
                count(self.failed, zone),
                self.rolled_back,
            )
            for zone, target in self.targets.items()
        }


def _inserted(call: Call, candidates: Sequence[str]) -> Operation:
    given = call.body
    for zone in candidates:
        check_reachable(call, zone)
    for part in ("sourceInstanceTemplate", "instanceFlexibilityPolicy"):
        if part in given:
            raise RefusalError(501, "notImplemented", f"No {part} here")
    if "instanceProperties" not in given:
        raise required("resource.instanceProperties")
    plans = _plans(call, candidates)
    hosts = _hosts(call, plans)
    least = int(given.get("minCount", len(hosts)))
    if not 1 <= least <= len(hosts):
        raise invalid("resource.minCount", least, "Must be within 1 and the count.")
    room = Room(call)
    room.check_quota(least, plans[0].region)
    batch = Batch(call, plans, hosts, least, room)
    batch.decide()
    return batch.carried_out()


def _plans(call: Call, candidates: Sequence[str]) -> list[LaunchPlan]:
    """Return the plan for each zone that can have such instances."""
    properties = call.body["instanceProperties"]
    order = Order(call, properties, "resource.instanceProperties", bulk=True)
    found, refusal = [], None
    for zone in candidates:
        try:
            found.append(order.planned(zone))
        except RefusalError as no:
            refusal = refusal or no
    if not found:
        raise refusal or invalid("resource.locationPolicy", "", "No zone is left.")
    return found


def _hosts(call: Call, plans: Sequence[LaunchPlan]) -> dict[str, str]:
    """Return the names of the instances to be, with their host names."""
    given = call.body
    single: Mapping[str, Any] = given.get("perInstanceProperties", {})
    field, pattern = "resource.perInstanceProperties", given.get("namePattern", "")
    if not single and not pattern:
        raise required("resource.namePattern")
    count = int(given.get("count", len(single)))
    if not 1 <= count <= _MOST:
        raise invalid("resource.count", count, f"Must be within 1 and {_MOST}.")
    if len(single) > count or (len(single) < count and not pattern):
        raise invalid(field, len(single), f"There are {count} instances.")
    found = {
        _checked_name(name, one): checked_host_name(
            one.get("hostname", ""), f"{field}.value.hostname"
        )
        for name, one in single.items()
    }
    for name in _numbered(call, pattern, count - len(found), plans):
        found[name] = ""
    return found


def _checked_name(name: str, properties: Mapping[str, Any]) -> str:
    """Return a name; Google takes none whose properties are empty, or say another."""
    known = name if properties.get("name", name) == name and properties else ""
    if not _NAME.fullmatch(known):
        raise invalid(
            "resource.perInstanceProperties.key",
            known,
            f"Must be a match of regex '{_NAME.pattern}'",
        )
    return known


def _numbered(
    call: Call, pattern: str, count: int, plans: Sequence[LaunchPlan]
) -> list[str]:
    """Return names of a pattern, numbered after the greatest that there is."""
    if not count:
        return []
    parts = _PATTERN.fullmatch(pattern)
    if parts is None:
        raise invalid("resource.namePattern", pattern, "It needs one row of '#'.")
    before, marks, after = parts.groups()
    known = re.compile(f"{re.escape(before)}([0-9]{{{len(marks)}}}){re.escape(after)}")
    here = {plan.zone for plan in plans}
    numbers = [
        int(match[1])
        for zone, name in call.project.instances
        if zone in here and (match := known.fullmatch(name))
    ]
    first = max(numbers, default=0) + 1
    if first + count > 10 ** len(marks):
        raise invalid("resource.namePattern", pattern, "Not enough numbers are left.")
    return [
        f"{before}{number:0{len(marks)}}{after}"
        for number in range(first, first + count)
    ]
