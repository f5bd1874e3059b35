"""Instances as replies have them."""

from __future__ import annotations

from typing import Any

from tests.clouds.gce.actions import Call, Reply
from tests.clouds.gce.catalogue import MachineType
from tests.clouds.gce.instances import DiskPlan, Instance, LaunchPlan
from tests.clouds.gce.moments import fingerprint, moment


def instance(call: Call, one: Instance) -> Reply:
    """Return one instance."""
    plan, now = one.plan, call.now
    mine = f"{call.root}projects/{one.project}"
    zone = f"{mine}/zones/{plan.zone}"
    found: Reply = {
        **plan.given,
        "kind": "compute#instance",
        "id": one.id,
        "creationTimestamp": moment(one.created_at),
        "name": one.name,
        "machineType": f"{zone}/machineTypes/{plan.machine.name}",
        "status": one.state(now),
        "zone": zone,
        "networkInterfaces": [_interface(one, mine, now)],
        "disks": [
            _disk(zone, one, index, disk) for index, disk in enumerate(plan.disks)
        ],
        "metadata": _metadata(one),
        "tags": _tags(plan),
        "scheduling": plan.scheduling,
        "cpuPlatform": "Intel Broadwell",
        "labelFingerprint": fingerprint(one.labels),
        "fingerprint": fingerprint([one.id, dict(one.labels), one.state(now)]),
        "selfLink": f"{zone}/instances/{one.name}",
        "startRestricted": False,
        "deletionProtection": plan.protected,
    }
    if one.labels:
        found["labels"] = one.labels
    if one.hostname:
        found["hostname"] = one.hostname
    return found | _times(one, now)


def _times(one: Instance, now: float) -> dict[str, str]:
    times = {
        "lastStartTimestamp": one.last(now, "RUNNING"),
        "lastStopTimestamp": one.last(now, "TERMINATED"),
        "lastSuspendedTimestamp": one.last(now, "SUSPENDED"),
    }
    return {name: moment(at) for name, at in times.items() if at is not None}


def _interface(one: Instance, mine: str, now: float) -> Reply:
    plan = one.plan
    parts = f"{mine}/regions/{plan.region}/subnetworks"
    found: Reply = {
        "kind": "compute#networkInterface",
        "name": "nic0",
        "network": f"{mine}/global/networks/{plan.network}",
        "subnetwork": f"{parts}/{plan.subnetwork}",
        "networkIP": one.address,
        "stackType": "IPV4_ONLY",
        "fingerprint": fingerprint(one.address),
    }
    if plan.public:
        access: dict[str, Any] = {
            "kind": "compute#accessConfig",
            "type": "ONE_TO_ONE_NAT",
            "name": "External NAT",
            "networkTier": "PREMIUM",
        }
        if address := one.public_address(now):
            access["natIP"] = address
        found["accessConfigs"] = [access]
    return found


def _disk(zone: str, one: Instance, index: int, disk: DiskPlan) -> Reply:
    return {
        "kind": "compute#attachedDisk",
        "type": "PERSISTENT",
        "mode": "READ_WRITE",
        "source": f"{zone}/disks/{disk_name(one.name, index, disk)}",
        "deviceName": f"persistent-disk-{index}",
        "index": index,
        "boot": disk.boot,
        "autoDelete": disk.dies_with_instance,
        "interface": "SCSI",
        "diskSizeGb": str(disk.gigabytes),
        "architecture": one.plan.machine.architecture,
    }


def disk_name(instance_name: str, index: int, disk: DiskPlan) -> str:
    """Return the name of an instance's disk."""
    return disk.name or (instance_name if index == 0 else f"{instance_name}-{index}")


def _metadata(one: Instance) -> Reply:
    items = [{"key": key, "value": value} for key, value in one.metadata.items()]
    found: Reply = {
        "kind": "compute#metadata",
        "fingerprint": fingerprint(one.metadata),
    }
    return found | ({"items": items} if items else {})


def _tags(plan: LaunchPlan) -> Reply:
    found: Reply = {"fingerprint": fingerprint(plan.network_tags)}
    return found | ({"items": list(plan.network_tags)} if plan.network_tags else {})


def machine_type(call: Call, zone: str, one: MachineType) -> Reply:
    """Return a machine type as a zone has it."""
    found: Reply = {
        "kind": "compute#machineType",
        "id": one.id,
        "name": one.name,
        "description": f"{one.cpus} vCPUs, {one.memory // 1024} GB RAM",
        "guestCpus": one.cpus,
        "memoryMb": one.memory,
        "isSharedCpu": one.shared,
        "architecture": one.architecture,
        "maximumPersistentDisks": 128,
        "maximumPersistentDisksSizeGb": "263168",
        "zone": zone,
        "selfLink": f"{call.root}projects/{call.project.id}/zones/{zone}/machineTypes/"
        + one.name,
    }
    if one.accelerator:
        found["accelerators"] = [
            {"guestAcceleratorType": one.accelerator, "guestAcceleratorCount": 1}
        ]
    return found
