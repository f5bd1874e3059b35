"""Makes instances: one by one, and what keeps them from being made."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tests.clouds.gce.actions import Call, Reply, action, begun, once, request_id
from tests.clouds.gce.instances import Instance, LaunchPlan, occupying
from tests.clouds.gce.listing import check_reachable
from tests.clouds.gce.moments import new_id
from tests.clouds.gce.operations import Operation
from tests.clouds.gce.ordering import Order
from tests.clouds.gce.projects import Disk
from tests.clouds.gce.refusals import (
    Failure,
    RefusalError,
    already_exists,
    broken,
    exhausted,
    invalid,
    over_quota,
    quota_exceeded,
    taken,
)
from tests.clouds.gce.rendering import disk_name

_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+")


@action("instances.insert")
def insert_instance(call: Call) -> Reply:
    """Make one instance."""
    return once(call, lambda: _inserted(call))


def _inserted(call: Call) -> Operation:
    given = call.body
    check_reachable(call, call.zone)
    for template in ("sourceInstanceTemplate", "sourceMachineImage"):
        if template in call.query:
            raise RefusalError(501, "notImplemented", f"No {template} here")
    plan = Order(call, given, "resource", bulk=False).planned(call.zone)
    path = call.under("instances", given["name"])
    if name_taken(call, plan, given["name"]):
        raise already_exists(path)
    room = Room(call)
    room.check_quota(1, plan.region)
    failure = room.take(plan)
    made = None
    if failure is None:
        hostname = checked_host_name(given.get("hostname", ""), "resource.hostname")
        made = launched(call, plan, given["name"], hostname)
    return begun(
        call,
        kind="insert",
        target=path,
        target_id=made.id if made else new_id(),
        request=request_id(call),
        ends=call.now + call.behaviour.operation_seconds,
        failures=[failure] if failure else [],
    )


def checked_host_name(text: str, field: str) -> str:
    """Return a host name; refuse one that is no full name."""
    if text and not _HOST_NAME.fullmatch(text):
        raise invalid(field, text, "Must be a fully qualified domain name.")
    return text


def name_taken(call: Call, plan: LaunchPlan, name: str) -> bool:
    """Tell whether a zone has an instance, or one of its disks, of a name."""
    names = [disk_name(name, index, disk) for index, disk in enumerate(plan.disks)]
    return (plan.zone, name) in call.project.instances or any(
        (plan.zone, disk) in call.project.disks for disk in names
    )


def launched(
    call: Call,
    plan: LaunchPlan,
    name: str,
    hostname: str = "",
    *,
    until: float | None = None,
) -> Instance:
    """Make an instance and its disks; with `until` it is gone again by then."""
    instance = Instance(
        id=new_id(),
        serial=call.cloud.next_serial(),
        name=name,
        project=call.project.id,
        plan=plan,
        created_at=call.now,
        address=call.project.pools[plan.region].take(),
        hostname=hostname,
        labels=plan.labels,
        metadata=plan.metadata,
        request=request_id(call),
        hidden_until=call.now + call.behaviour.list_lag,
    )
    if until is None:
        instance.starts(call.now, call.behaviour)
    else:
        instance.fails(call.now, until)
    call.project.instances[plan.zone, name] = instance
    for index, disk in enumerate(plan.disks):
        its = disk_name(name, index, disk)
        call.project.disks[plan.zone, its] = Disk(
            new_id(), its, plan.zone, disk, call.now, instance
        )
    call.cloud.changed(instance)
    return instance


class Room:
    """How many more instances there may be, as they are made one after another."""

    def __init__(self, call: Call) -> None:
        self._call = call
        mine = call.project.instances.values()
        self._allowed = call.behaviour.quota - len(occupying(mine, call.now))
        self._free = _free(call)

    def check_quota(self, least: int, region: str) -> None:
        """Refuse an order at once that goes beyond the quota, if that is the way."""
        if self._call.behaviour.quota_early and self._allowed < least:
            raise quota_exceeded(self._call.behaviour.quota, region)

    def left(self, plan: LaunchPlan) -> float:
        """Return for how many instances there are machines."""
        return min((self._free[scope] for scope in self._scopes(plan)), default=1e9)

    def take(self, plan: LaunchPlan) -> Failure | None:
        """Take a place for one instance, or return why there is none."""
        behaviour = self._call.behaviour
        if code := self._call.cloud.fate.of_operation(self._call.method):
            return broken(code)
        if self._allowed < 1:
            return over_quota(behaviour.quota, plan.region)
        if self.left(plan) < 1:
            return exhausted(self._call.project.id, plan.zone, plan.machine.name)
        self._allowed -= 1
        for scope in self._scopes(plan):
            self._free[scope] -= 1
        return None

    def _scopes(self, plan: LaunchPlan) -> Iterable[str]:
        scopes = (f"{plan.zone}/{plan.machine.name}", plan.zone, "")
        return [scope for scope in scopes if scope in self._free]


def _free(call: Call) -> dict[str, int]:
    """Return how many machines are left of each scope that has a limit."""
    free = dict(call.behaviour.capacity)
    if free:
        for one in occupying(call.cloud.instances(), call.now):
            for scope in (
                f"{one.plan.zone}/{one.plan.machine.name}",
                one.plan.zone,
                "",
            ):
                if scope in free:
                    free[scope] -= 1
    return free


def name_failure(call: Call, plan: LaunchPlan, name: str) -> Failure | None:
    """Return why an instance of a bulk cannot have a name, None if it can."""
    if not name_taken(call, plan, name):
        return None
    return taken(f"projects/{call.project.id}/zones/{plan.zone}/instances/{name}")
