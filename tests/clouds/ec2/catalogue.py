"""What the cloud offers to everybody: regions, zones, instance types, images."""

from __future__ import annotations

from dataclasses import dataclass

#: Region names and what their zones' ids begin with.
REGIONS = {"us-east-1": "use1", "eu-west-1": "euw1"}
REGION = "us-east-1"

#: Who owns the images.
IMAGE_OWNER = "136693071363"


def zones(region: str) -> tuple[str, ...]:
    """Return the names of a region's zones."""
    return tuple(f"{region}{letter}" for letter in "abc")


def open_region(name: str) -> None:
    """Offer one more region, for as long as this process runs."""
    REGIONS.setdefault(name, name)


def zone_id(zone: str) -> str:
    """Return the id of a zone, which is the same for all accounts here."""
    return f"{REGIONS[zone[:-1]]}-az{ord(zone[-1]) - ord('a') + 1}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavor:
    """An instance type. `memory` is in MiB; `zones` are letters."""

    name: str
    cpus: int
    memory: int
    architecture: str = "x86_64"
    gpus: int = 0
    zones: str = "abc"
    strategies: tuple[str, ...] = ("cluster", "partition", "spread")

    @property
    def burstable(self) -> bool:
        """Whether its processors are shared."""
        return self.name.startswith("t")

    def offered_in(self, zone: str) -> bool:
        """Tell whether a zone has machines of this type."""
        return zone[-1] in self.zones


_LOOSE = ("partition", "spread")

FLAVORS = {
    flavor.name: flavor
    for flavor in (
        Flavor(name="t3.micro", cpus=2, memory=1024, strategies=_LOOSE),
        Flavor(name="t3.small", cpus=2, memory=2048, strategies=_LOOSE),
        Flavor(name="m5.large", cpus=2, memory=8192),
        Flavor(name="c5.large", cpus=2, memory=4096),
        Flavor(name="c5.4xlarge", cpus=16, memory=32768),
        Flavor(name="c5n.18xlarge", cpus=72, memory=196608, zones="ab"),
        Flavor(name="p3.2xlarge", cpus=8, memory=62464, gpus=1, zones="a"),
        Flavor(name="t4g.small", cpus=2, memory=2048, architecture="arm64"),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A machine image."""

    id: str
    name: str
    architecture: str = "x86_64"
    state: str = "available"
    root_gigabytes: int = 8
    created: str = "2026-11-01T00:00:00.000Z"


IMAGES = {
    image.id: image
    for image in (
        Image(id="ami-0debd12a0000000a1", name="debian-12-amd64-20261101-1"),
        Image(
            id="ami-0debd12a0000000a0",
            name="debian-12-amd64-20261001-1",
            created="2026-10-01T00:00:00.000Z",
        ),
        Image(
            id="ami-0debd12a0000000b1",
            name="debian-12-arm64-20261101-1",
            architecture="arm64",
        ),
        Image(
            id="ami-0debd12a0000000c1",
            name="debian-13-amd64-20261101-1",
            state="pending",
        ),
    )
}
IMAGE_ID = "ami-0debd12a0000000a1"
