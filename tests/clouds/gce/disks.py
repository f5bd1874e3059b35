"""Disks: those of instances, and those that outlived theirs."""

from __future__ import annotations

from tests.clouds.gce.actions import Call, Reply, Work, action, mutation
from tests.clouds.gce.catalogue import ZONES
from tests.clouds.gce.listing import aggregated, check_reachable, listed
from tests.clouds.gce.moments import fingerprint, moment
from tests.clouds.gce.projects import Disk
from tests.clouds.gce.refusals import RefusalError, not_found


@action("disks.list")
def list_disks(call: Call) -> Reply:
    """List a zone's disks."""
    check_reachable(call, call.zone)
    found = [
        _rendered(call, disk)
        for disk in call.project.disks.values()
        if disk.zone == call.zone
    ]
    return listed(call, "diskList", found)


@action("disks.aggregatedList")
def aggregate_disks(call: Call) -> Reply:
    """List all zones' disks."""
    found: dict[str, list[Reply]] = {f"zones/{zone}": [] for zone in ZONES}
    for disk in call.project.disks.values():
        if disk.zone not in call.behaviour.unreachable:
            found[f"zones/{disk.zone}"].append(_rendered(call, disk))
    return aggregated(call, "disk", "disks", found)


@action("disks.get")
def get_disk(call: Call) -> Reply:
    """Return one disk."""
    return _rendered(call, _named(call))


@mutation("disks.delete")
def delete_disk(call: Call) -> Work:
    """Delete a disk that no instance has."""
    disk = _named(call)
    path = disk.path(call.project.id)
    if disk.instance is not None:
        raise RefusalError(
            400,
            "resourceInUseByAnotherResource",
            f"The disk resource '{path}' is already being used by "
            f"'{disk.instance.path}'",
        )

    def effect() -> float:
        del call.project.disks[disk.zone, disk.name]
        return call.now

    return Work(kind="delete", target=path, target_id=disk.id, effect=effect)


def _named(call: Call) -> Disk:
    check_reachable(call, call.zone)
    name = call.path["disk"]
    for disk in call.project.disks.values():
        if disk.zone == call.zone and name in (disk.name, disk.id):
            return disk
    raise not_found(call.under("disks", name))


def _rendered(call: Call, disk: Disk) -> Reply:
    zone = f"{call.root}projects/{call.project.id}/zones/{disk.zone}"
    plan = disk.plan
    found: Reply = {
        "kind": "compute#disk",
        "id": disk.id,
        "name": disk.name,
        "creationTimestamp": moment(disk.created_at),
        "sizeGb": str(plan.gigabytes),
        "status": "READY",
        "type": f"{zone}/diskTypes/{plan.kind}",
        "zone": zone,
        "labelFingerprint": fingerprint(plan.labels),
        "physicalBlockSizeBytes": "4096",
        "selfLink": f"{call.root}{disk.path(call.project.id)}",
    }
    if plan.labels:
        found["labels"] = dict(plan.labels)
    if plan.image is not None:
        image = f"projects/{plan.image.project}/global/images/{plan.image.name}"
        found["sourceImage"] = f"{call.root}{image}"
    if disk.instance is not None:
        found["users"] = [f"{call.root}{disk.instance.path}"]
    return found
