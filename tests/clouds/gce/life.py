"""What becomes of instances: listed, deleted, stopped, started, labelled."""

from __future__ import annotations

from collections.abc import Callable

from tests.clouds.gce.actions import Call, Reply, Work, action, mutation
from tests.clouds.gce.catalogue import ZONES
from tests.clouds.gce.instances import Instance
from tests.clouds.gce.launching import Room
from tests.clouds.gce.listing import aggregated, check_reachable, listed
from tests.clouds.gce.moments import fingerprint
from tests.clouds.gce.ordering import checked_labels, checked_metadata
from tests.clouds.gce.refusals import RefusalError, not_ready
from tests.clouds.gce.rendering import instance


def named(call: Call) -> Instance:
    """Return the instance in the path."""
    check_reachable(call, call.zone)
    return call.project.instance(call.zone, call.path["instance"])


@action("instances.list")
def list_instances(call: Call) -> Reply:
    """List a zone's instances."""
    check_reachable(call, call.zone)
    found = [
        instance(call, one)
        for one in call.project.listed(call.behaviour, call.now)
        if one.plan.zone == call.zone
    ]
    return listed(call, "instanceList", found)


@action("instances.aggregatedList")
def aggregate_instances(call: Call) -> Reply:
    """List all zones' instances."""
    found: dict[str, list[Reply]] = {f"zones/{zone}": [] for zone in ZONES}
    for one in call.project.listed(call.behaviour, call.now):
        found[f"zones/{one.plan.zone}"].append(instance(call, one))
    return aggregated(call, "instance", "instances", found)


@action("instances.get")
def get_instance(call: Call) -> Reply:
    """Return one instance."""
    return instance(call, named(call))


@mutation("instances.delete")
def delete_instance(call: Call) -> Work:
    """Delete an instance; one that is being deleted goes its way."""
    one = named(call)
    if one.plan.protected:
        raise RefusalError(
            400,
            "invalidResourceUsage",
            f"Invalid resource usage: '{one.path}' is protected against deletion.",
        )

    def effect() -> float:
        end = one.is_deleted(call.now, call.behaviour)
        call.cloud.changed(one)
        return end

    return _work(one, "delete", effect)


def _work(one: Instance, kind: str, effect: Callable[[], float]) -> Work:
    return Work(kind=kind, target=one.path, target_id=one.id, effect=effect)


@mutation("instances.stop")
def stop_instance(call: Call) -> Work:
    """Stop an instance; one that is stopped stays so."""
    one = named(call)
    state = one.state(call.now)
    if state in ("SUSPENDING", "SUSPENDED"):
        raise not_ready(one.path)

    def effect() -> float:
        if state not in ("STOPPING", "TERMINATED"):
            one.stops(call.now, call.behaviour)
            call.cloud.changed(one)
        return one.phases[-1].at

    return _work(one, "stop", effect)


@mutation("instances.suspend")
def suspend_instance(call: Call) -> Work:
    """Suspend an instance that runs."""
    one = named(call)
    if one.state(call.now) != "RUNNING":
        raise not_ready(one.path)

    def effect() -> float:
        one.suspends(call.now, call.behaviour)
        call.cloud.changed(one)
        return one.phases[-1].at

    return _work(one, "suspend", effect)


@mutation("instances.start")
def start_instance(call: Call) -> Work:
    """Start an instance that is stopped; one that runs goes on."""
    return _started(call, "start", "TERMINATED", ("PROVISIONING", "STAGING", "RUNNING"))


@mutation("instances.resume")
def resume_instance(call: Call) -> Work:
    """Wake an instance that is suspended."""
    return _started(call, "resume", "SUSPENDED", ())


def _started(call: Call, kind: str, source: str, harmless: tuple[str, ...]) -> Work:
    one = named(call)
    state = one.state(call.now)
    if state != source and state not in harmless:
        raise not_ready(one.path)
    room = Room(call)
    if state == source:
        room.check_quota(1, one.plan.region)
    failure = room.take(one.plan) if state == source else None

    def effect() -> float:
        if state == source and failure is None:
            one.starts(call.now, call.behaviour)
            call.cloud.changed(one)
        return call.now + call.behaviour.boot_seconds

    failures = (failure,) if failure else ()
    return Work(
        kind=kind,
        target=one.path,
        target_id=one.id,
        effect=effect,
        failures=failures,
    )


@mutation("instances.setLabels")
def set_labels(call: Call) -> Work:
    """Replace an instance's labels, if nobody else has done so."""
    one, given = named(call), call.body
    labels = checked_labels(given.get("labels", {}), "resource.labels")
    if given.get("labelFingerprint") != fingerprint(one.labels):
        raise _stale(
            "Labels fingerprint either invalid or resource labels have changed"
        )

    def effect() -> float:
        one.labels = labels
        return call.now

    return _work(one, "setLabels", effect)


@mutation("instances.setMetadata")
def set_metadata(call: Call) -> Work:
    """Replace an instance's metadata, if nobody else has done so."""
    one, given = named(call), call.body
    metadata = checked_metadata({"items": given.get("items", ())}, "resource")
    if given.get("fingerprint") != fingerprint(one.metadata):
        raise _stale(
            "Supplied fingerprint does not match current metadata fingerprint."
        )

    def effect() -> float:
        one.metadata = metadata
        return call.now

    return _work(one, "setMetadata", effect)


def _stale(message: str) -> RefusalError:
    return RefusalError(412, "conditionNotMet", message, location="If-Match")
