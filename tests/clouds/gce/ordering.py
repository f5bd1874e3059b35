"""Turns what an order of instances says into a plan; refuses what cannot be."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.clouds.gce.actions import Call
from tests.clouds.gce.catalogue import (
    DISK_TYPES,
    MACHINE_TYPES,
    ZONES,
    Image,
    MachineType,
    images_of,
    in_family,
)
from tests.clouds.gce.instances import DiskPlan, LaunchPlan
from tests.clouds.gce.networks import attached
from tests.clouds.gce.references import reference
from tests.clouds.gce.refusals import RefusalError, invalid, not_found, required

_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
_NETWORK_TAG = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
_MOST_LABELS = 64

#: The longest value, and the longest metadata in all (characters).
_LONGEST_VALUE, _LONGEST_METADATA = 256 * 1024, 512 * 1024

#: What is taken notice of, and what replies only repeat.
_NOTICED = frozenset(
    {"disks", "labels", "machineType", "metadata", "networkInterfaces", "scheduling"}
    | {"deletionProtection", "hostname", "name", "tags"}
)
_REPEATED = frozenset(
    {"advancedMachineFeatures", "canIpForward", "description", "displayDevice"}
    | {"guestAccelerators", "minCpuPlatform", "serviceAccounts"}
    | {"shieldedInstanceConfig"}
)


@dataclass(frozen=True, slots=True)
class Order:
    """What instances are to be. `field` is where errors say that it stands.

    In a bulk, machine and disk types are names; else they are URLs.
    """

    call: Call
    properties: Mapping[str, Any]
    field: str
    bulk: bool

    def planned(self, zone: str) -> LaunchPlan:
        """Return the plan for a zone."""
        given = self.properties
        if unknown := sorted(given.keys() - _NOTICED - _REPEATED):
            raise RefusalError(
                501, "notImplemented", f"{', '.join(unknown)} is not supported here"
            )
        machine = self._machine(zone)
        disks = self._disks(zone, machine)
        image = next(one.image for one in disks if one.boot)
        assert image is not None
        network, subnetwork, public = attached(
            self.call, ZONES[zone], given.get("networkInterfaces"), self.field
        )
        return LaunchPlan(
            zone=zone,
            machine=machine,
            image=image,
            disks=disks,
            network=network,
            subnetwork=subnetwork,
            public=public,
            labels=checked_labels(given.get("labels", {}), f"{self.field}.labels"),
            metadata=checked_metadata(given.get("metadata", {}), self.field),
            network_tags=self._tags(),
            scheduling=self._scheduling(),
            given={name: given[name] for name in _REPEATED if name in given},
            protected=given.get("deletionProtection", False),
        )

    def _machine(self, zone: str) -> MachineType:
        field, text = f"{self.field}.machineType", self.properties.get("machineType")
        if not text:
            raise required(field)
        if self.bulk:
            if "/" in text:
                raise RefusalError(500, "internalError", "INTERNAL_ERROR")
            name = text
        else:
            found = reference(field, text, "machineTypes", self.call.project.id)
            if found.scope != f"zones/{zone}":
                raise invalid(field, text, f"It is not in zone '{zone}'.")
            name = found.name
        machine = MACHINE_TYPES.get(name)
        if machine is None or not machine.offered_in(zone):
            raise invalid(
                field,
                text,
                f"Machine type with name '{name}' does not exist in zone '{zone}'.",
            )
        return machine

    # -- disks

    def _disks(self, zone: str, machine: MachineType) -> tuple[DiskPlan, ...]:
        given, field = self.properties.get("disks", []), f"{self.field}.disks"
        if [bool(one.get("boot")) for one in given].count(True) != 1:
            raise invalid(field, "", "Exactly one disk has to be the boot disk.")
        if not given[0].get("boot"):
            raise invalid(f"{field}[0].boot", "false", "Boot disk must be the first.")
        found = []
        for index, one in enumerate(given):
            if one.get("type") == "SCRATCH":  # it is a part of the machine
                self._check_scratch(one, f"{field}[{index}]", machine)
            else:
                found.append(self._disk(one, f"{field}[{index}]", zone))
        image = found[0].image
        if image is not None and image.architecture != machine.architecture:
            raise invalid(
                f"{field}[0]",
                image.architecture,
                f"The machine type's architecture is {machine.architecture}.",
            )
        return tuple(found)

    def _disk(self, given: Mapping[str, Any], field: str, zone: str) -> DiskPlan:
        if "source" in given:
            raise RefusalError(
                501, "notImplemented", "Only disks made of images are supported here"
            )
        asked = given.get("initializeParams", {})
        image = None
        if given.get("boot"):
            image = self._image(asked.get("sourceImage"), f"{field}.initializeParams")
        least = image.gigabytes if image else 10
        size = int(asked.get("diskSizeGb") or given.get("diskSizeGb") or least)
        if size < least:
            raise invalid(
                f"{field}.initializeParams.diskSizeGb",
                size,
                f"Requested disk size cannot be smaller than the image ({least} GB)",
            )
        return DiskPlan(
            image=image,
            gigabytes=size,
            kind=self._disk_type(asked.get("diskType"), field, zone),
            boot=bool(given.get("boot")),
            dies_with_instance=given.get("autoDelete", False),
            name=asked.get("diskName", ""),
            labels=checked_labels(
                asked.get("labels", {}), f"{field}.initializeParams.labels"
            ),
        )

    def _check_scratch(
        self, given: Mapping[str, Any], field: str, machine: MachineType
    ) -> None:
        """Refuse a local SSD that cannot be, or not in such a machine."""
        kind = given.get("initializeParams", {}).get("diskType", "")
        name = kind if self.bulk else kind.rpartition("/")[2]
        if name != "local-ssd":
            raise invalid(f"{field}.initializeParams.diskType", kind, "Local SSDs only")
        if not given.get("autoDelete") or given.get("boot"):
            raise invalid(field, "", "Local SSDs go with their instance.")
        if not machine.local_ssds:
            raise RefusalError(
                400,
                "invalid",
                f"[{machine.name}, local-ssd] features are not compatible for creating "
                "instance.",
            )

    def _image(self, text: str | None, field: str) -> Image:
        if not text:
            raise required(f"{field}.sourceImage")
        found = reference(f"{field}.sourceImage", text, "images", self.call.project.id)
        name = found.name.removeprefix("family/")
        if name != found.name:
            image = in_family(found.project, name)
        else:
            mine = (one for one in images_of(found.project) if one.name == name)
            image = next(mine, None)
        if image is None:
            raise not_found(f"projects/{found.project}/global/images/{found.name}")
        return image

    def _disk_type(self, text: str | None, place: str, zone: str) -> str:
        field = f"{place}.initializeParams.diskType"
        if not text:
            return "pd-standard"
        name = text
        if not self.bulk:
            found = reference(field, text, "diskTypes", self.call.project.id)
            if found.scope != f"zones/{zone}":
                raise invalid(field, text, f"It is not in zone '{zone}'.")
            name = found.name
        if name not in DISK_TYPES:
            raise invalid(field, text, "There is no such disk type.")
        return name

    # -- the rest

    def _tags(self) -> tuple[str, ...]:
        items: Sequence[str] = self.properties.get("tags", {}).get("items", ())
        for index, tag in enumerate(items):
            if not _NETWORK_TAG.fullmatch(tag):
                raise invalid(
                    f"{self.field}.tags.items[{index}]", tag, "It is no valid tag."
                )
        return tuple(items)

    def _scheduling(self) -> Mapping[str, Any]:
        given: Mapping[str, Any] = self.properties.get("scheduling", {})
        field = f"{self.field}.scheduling"
        spot = given.get("provisioningModel") == "SPOT" or given.get("preemptible")
        if spot and given.get("automaticRestart"):
            raise invalid(f"{field}.automaticRestart", "true", "Not for spot VMs.")
        if spot and given.get("onHostMaintenance", "TERMINATE") != "TERMINATE":
            raise invalid(f"{field}.onHostMaintenance", "MIGRATE", "Not for spot VMs.")
        limit = given.get("maxRunDuration")
        if limit is None and not spot and "instanceTerminationAction" in given:
            raise invalid(
                f"{field}.instanceTerminationAction",
                given["instanceTerminationAction"],
                "It needs a maximum run duration, or spot VMs.",
            )
        if limit is not None:
            self._check_limit(limit, f"{field}.maxRunDuration")
        accelerated = self.properties.get("guestAccelerators")
        if accelerated and given.get("onHostMaintenance") != "TERMINATE":
            raise invalid(
                f"{field}.onHostMaintenance",
                given.get("onHostMaintenance", "MIGRATE"),
                "Instances with guest accelerators do not support live migration.",
            )
        if "terminationTime" in given:
            raise RefusalError(
                501, "notImplemented", "terminationTime is not supported here"
            )
        defaults = {
            "automaticRestart": not spot,
            "onHostMaintenance": "TERMINATE" if spot else "MIGRATE",
            "preemptible": bool(spot),
            "provisioningModel": "SPOT" if spot else "STANDARD",
        }
        return defaults | dict(given)

    def _check_limit(self, limit: Mapping[str, Any], field: str) -> None:
        seconds = int(limit.get("seconds", 0)) + limit.get("nanos", 0) / 1e9
        least = self.call.behaviour.shortest_run
        if not least <= seconds <= 120 * 86400:
            raise invalid(field, seconds, f"Must be between {least:g} s and 120 days.")


def checked_labels(given: Mapping[str, str], field: str) -> Mapping[str, str]:
    """Return labels; refuse what labels cannot hold."""
    if len(given) > _MOST_LABELS:
        raise invalid(field, len(given), f"At most {_MOST_LABELS} labels are allowed.")
    for key, value in given.items():
        if not _LABEL_KEY.fullmatch(key):
            raise invalid(field, key, "Label keys must match " + _LABEL_KEY.pattern)
        if not _LABEL_VALUE.fullmatch(value):
            raise invalid(
                field, value, "Label values must match " + _LABEL_VALUE.pattern
            )
    return given


def checked_metadata(given: Mapping[str, Any], place: str) -> Mapping[str, str]:
    """Return metadata as a mapping; refuse what is too long, or there twice."""
    field = f"{place}.metadata.items"
    found: dict[str, str] = {}
    for index, item in enumerate(given.get("items", ())):
        key, value = item.get("key"), item.get("value", "")
        if not key:
            raise required(f"{field}[{index}].key")
        if key in found:
            raise invalid(f"{field}[{index}].key", key, "It is there twice.")
        if len(value) > _LONGEST_VALUE:
            raise invalid(
                f"{field}[{index}].value", "…", f"It is longer than {_LONGEST_VALUE}."
            )
        found[key] = value
    if sum(len(key) + len(value) for key, value in found.items()) > _LONGEST_METADATA:
        raise invalid(field, "…", f"They are longer than {_LONGEST_METADATA} in all.")
    return found
