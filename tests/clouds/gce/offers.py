"""What everybody may look up: the project, places, machine types, images."""

from __future__ import annotations

from tests.clouds.gce.actions import Call, Reply, action
from tests.clouds.gce.catalogue import (
    DISK_TYPES,
    IMAGE_PROJECTS,
    MACHINE_TYPES,
    REGIONS,
    ZONES,
    Image,
    images_of,
    in_family,
    offered,
    zones,
)
from tests.clouds.gce.instances import occupying
from tests.clouds.gce.listing import aggregated, listed
from tests.clouds.gce.refusals import not_found
from tests.clouds.gce.rendering import machine_type


@action("projects.get")
def get_project(call: Call) -> Reply:
    """Return the project and its quotas."""
    mine = call.project
    used = len(occupying(mine.instances.values(), call.now))
    email = f"{mine.number}-compute@developer.gserviceaccount.com"
    return {
        "kind": "compute#project",
        "id": mine.number,
        "name": mine.id,
        "creationTimestamp": "2026-01-01T08:00:00.000-08:00",
        "commonInstanceMetadata": {"kind": "compute#metadata"},
        "defaultServiceAccount": email,
        "defaultNetworkTier": "PREMIUM",
        "quotas": [_quota(call, used), {"metric": "NETWORKS", "limit": 15, "usage": 2}],
        "selfLink": f"{call.root}projects/{mine.id}",
    }


def _quota(call: Call, used: int) -> Reply:
    return {"metric": "INSTANCES", "limit": call.behaviour.quota, "usage": used}


# -- places


@action("zones.list")
def list_zones(call: Call) -> Reply:
    """List all zones."""
    return listed(call, "zoneList", [_zone(call, zone) for zone in ZONES])


@action("zones.get")
def get_zone(call: Call) -> Reply:
    """Return one zone."""
    return _zone(call, call.zone)


def _zone(call: Call, zone: str) -> Reply:
    mine = f"{call.root}projects/{call.project.id}"
    return {
        "kind": "compute#zone",
        "id": str(2000 + list(ZONES).index(zone)),
        "name": zone,
        "description": zone,
        "status": "DOWN" if zone in call.behaviour.unreachable else "UP",
        "region": f"{mine}/regions/{ZONES[zone]}",
        "selfLink": f"{mine}/zones/{zone}",
        "availableCpuPlatforms": ["Intel Broadwell"],
        "supportsPzs": False,
    }


@action("regions.list")
def list_regions(call: Call) -> Reply:
    """List all regions."""
    return listed(call, "regionList", [_region(call, region) for region in REGIONS])


@action("regions.get")
def get_region(call: Call) -> Reply:
    """Return one region."""
    return _region(call, call.path["region"])


def _region(call: Call, region: str) -> Reply:
    mine = f"{call.root}projects/{call.project.id}"
    here = [one for one in call.project.instances.values() if one.plan.region == region]
    return {
        "kind": "compute#region",
        "id": str(1000 + list(REGIONS).index(region)),
        "name": region,
        "description": region,
        "status": "UP",
        "zones": [f"{mine}/zones/{zone}" for zone in zones(region)],
        "quotas": [_quota(call, len(occupying(here, call.now)))],
        "selfLink": f"{mine}/regions/{region}",
        "supportsPzs": False,
    }


# -- disk and machine types


@action("diskTypes.get")
def get_disk_type(call: Call) -> Reply:
    """Return what disks of a type there may be in a zone."""
    name = call.path["diskType"]
    if name not in DISK_TYPES:
        raise not_found(call.under("diskTypes", name))
    zone = f"{call.root}projects/{call.project.id}/zones/{call.zone}"
    return {
        "kind": "compute#diskType",
        "id": str(30000 + DISK_TYPES.index(name)),
        "name": name,
        "description": name,
        "creationTimestamp": "2026-01-01T08:00:00.000-08:00",
        "validDiskSize": "10GB-65536GB",
        "defaultDiskSizeGb": "500",
        "zone": zone,
        "selfLink": f"{zone}/diskTypes/{name}",
    }


@action("machineTypes.list")
def list_machine_types(call: Call) -> Reply:
    """List what a zone offers."""
    found = [machine_type(call, call.zone, one) for one in offered(call.zone)]
    return listed(call, "machineTypeList", found)


@action("machineTypes.aggregatedList")
def aggregate_machine_types(call: Call) -> Reply:
    """List what all zones offer."""
    found = {
        f"zones/{zone}": [machine_type(call, zone, one) for one in offered(zone)]
        for zone in ZONES
    }
    return aggregated(call, "machineType", "machineTypes", found)


@action("machineTypes.get")
def get_machine_type(call: Call) -> Reply:
    """Return one machine type."""
    name = call.path["machineType"]
    found = MACHINE_TYPES.get(name)
    if found is None or not found.offered_in(call.zone):
        raise not_found(call.under("machineTypes", name))
    return machine_type(call, call.zone, found)


# -- images: also of projects that belong to the cloud


@action("images.list")
def list_images(call: Call) -> Reply:
    """List a project's images."""
    found = [_image(call, image) for image in images_of(call.path["project"])]
    return listed(call, "imageList", found)


@action("images.get")
def get_image(call: Call) -> Reply:
    """Return one image."""
    name = call.path["image"]
    for image in images_of(call.path["project"]):
        if name in (image.name, image.id):
            return _image(call, image)
    raise not_found(f"projects/{call.path['project']}/global/images/{name}")


@action("images.getFromFamily")
def get_newest_image(call: Call) -> Reply:
    """Return the newest image of a family."""
    project, family = call.path["project"], call.path["family"]
    image = in_family(project, family)
    if image is None:
        raise not_found(f"projects/{project}/global/images/family/{family}")
    return _image(call, image)


def public_images(project: str) -> bool:
    """Tell whether a project's images are for everybody."""
    return project in IMAGE_PROJECTS


def _image(call: Call, image: Image) -> Reply:
    found: Reply = {
        "kind": "compute#image",
        "id": image.id,
        "name": image.name,
        "family": image.family,
        "description": f"{image.family}, for tests",
        "creationTimestamp": image.created,
        "architecture": image.architecture,
        "diskSizeGb": str(image.gigabytes),
        "archiveSizeBytes": "1000000000",
        "status": "READY",
        "sourceType": "RAW",
        "selfLink": f"{call.root}projects/{image.project}/global/images/{image.name}",
    }
    if image.deprecated:
        found["deprecated"] = {"state": "DEPRECATED"}
    return found
