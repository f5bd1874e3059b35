"""What the cloud offers to everybody: regions, zones, machine types, images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

#: Regions and the letters of their zones.
REGIONS = {"us-central1": "abcf", "europe-west1": "bcd"}
REGION = "us-central1"

ZONES = {
    f"{region}-{letter}": region
    for region, letters in REGIONS.items()
    for letter in letters
}
ZONE = f"{REGION}-a"


def zones(region: str) -> tuple[str, ...]:
    """Return the names of a region's zones."""
    return tuple(zone for zone, its in ZONES.items() if its == region)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineType:
    """A machine type. `memory` is in MiB; `zones` are the letters of those with it."""

    id: str
    name: str
    cpus: int
    memory: int
    architecture: str = "X86_64"
    accelerator: str = ""
    shared: bool = False
    local_ssds: bool = False
    zones: str = "abcdf"

    def offered_in(self, zone: str) -> bool:
        """Tell whether a zone has machines of this type."""
        return zone[-1] in self.zones


MACHINE_TYPES = {
    machine.name: machine
    for machine in (
        MachineType(id="334002", name="e2-micro", cpus=2, memory=1024, shared=True),
        MachineType(id="334004", name="e2-small", cpus=2, memory=2048, shared=True),
        MachineType(id="334005", name="e2-medium", cpus=2, memory=4096, shared=True),
        MachineType(id="335002", name="e2-standard-2", cpus=2, memory=8192),
        MachineType(id="335004", name="e2-standard-4", cpus=4, memory=16384),
        MachineType(
            id="901016",
            name="n2-standard-16",
            cpus=16,
            memory=65536,
            local_ssds=True,
        ),
        MachineType(
            id="801060", name="c2-standard-60", cpus=60, memory=245760, zones="ab"
        ),
        MachineType(
            id="1000001",
            name="a2-highgpu-1g",
            cpus=12,
            memory=87040,
            accelerator="nvidia-tesla-a100",
            zones="a",
        ),
        MachineType(
            id="1101002",
            name="t2a-standard-2",
            cpus=2,
            memory=8192,
            architecture="ARM64",
            zones="abf",
        ),
    )
}

#: What disks can be made of.
DISK_TYPES = ("pd-standard", "pd-balanced", "pd-ssd", "pd-extreme")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A public image. Without cloud-init, `user-data` in the metadata does nothing."""

    id: str
    project: str
    name: str
    family: str
    gigabytes: int = 10
    architecture: str = "X86_64"
    cloud_init: bool = True
    deprecated: bool = False
    created: str = "2026-11-10T08:00:00.000-08:00"


IMAGES = (
    Image(
        id="5100000000000000001",
        project="ubuntu-os-cloud",
        name="ubuntu-2404-noble-amd64-v20261008",
        family="ubuntu-2404-lts-amd64",
        created="2026-10-08T08:00:00.000-07:00",
        deprecated=True,
    ),
    Image(
        id="5100000000000000002",
        project="ubuntu-os-cloud",
        name="ubuntu-2404-noble-amd64-v20261110",
        family="ubuntu-2404-lts-amd64",
    ),
    Image(
        id="5100000000000000003",
        project="ubuntu-os-cloud",
        name="ubuntu-2404-noble-arm64-v20261110",
        family="ubuntu-2404-lts-arm64",
        architecture="ARM64",
    ),
    Image(
        id="5200000000000000001",
        project="debian-cloud",
        name="debian-12-bookworm-v20261110",
        family="debian-12",
        cloud_init=False,
    ),
)
IMAGE_ID = "projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64"

#: Projects whose images everybody may use.
IMAGE_PROJECTS = frozenset(image.project for image in IMAGES)


def images_of(project: str) -> list[Image]:
    """Return a project's images, oldest first."""
    return [image for image in IMAGES if image.project == project]


def in_family(project: str, family: str) -> Image | None:
    """Return the newest image of a family that is not deprecated."""
    found = [
        image
        for image in images_of(project)
        if image.family == family and not image.deprecated
    ]
    return found[-1] if found else None


def offered(zone: str) -> Iterator[MachineType]:
    """Yield the machine types of a zone."""
    return (one for one in MACHINE_TYPES.values() if one.offered_in(zone))
