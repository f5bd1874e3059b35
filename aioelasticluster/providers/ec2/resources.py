"""What a launch needs: looked up first, made if it is missing, removed at the end."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from aioelasticluster._aio.tasks import together
from aioelasticluster.errors import InvalidRequestError, UnauthorizedError
from aioelasticluster.providers.base import Preparation
from aioelasticluster.providers.ec2.calls import Calls
from aioelasticluster.providers.ec2.groups import Groups
from aioelasticluster.providers.ec2.keys import found_key, import_key
from aioelasticluster.providers.ec2.listing import wanted
from aioelasticluster.providers.ec2.naming import CLUSTER_ID, own_name, tags_for
from aioelasticluster.providers.ec2.options import Ec2Options
from aioelasticluster.providers.options import resource

#: Image ids of EC2 and of what speaks its API; everything else is a name.
_IMAGE_ID = re.compile(r"[a-z]mi-[0-9a-zA-Z]+")

#: Owners that a name of an image may begin with: `amazon/al2023-ami-*`.
_OWNER = re.compile(r"(\d{12}|amazon|aws-marketplace|self)/(.+)")


class Preparing:
    """Looks up and makes what one cluster needs; `found` is what launches take."""

    def __init__(self, calls: Calls, preparation: Preparation, vpc: str) -> None:
        self._calls = calls
        self._preparation = preparation
        self._wishes = [(spec, Ec2Options.of(spec)) for spec in preparation.specs]
        self._groups = Groups(calls, preparation, vpc)
        self._made: list[tuple[str, str, str]] = []  # how each is removed
        self.found: dict[str, str] = {}

    async def __call__(self) -> Mapping[str, str]:
        """Return what the launches take; raises `ProviderError`.

        Nothing is left behind by an error that says that the plan is wrong; what the
        cluster had before stays.
        """
        await together(self._subnets, self._flavors)
        await together(self._images, self._groups.look_up, self._key, self._placements)
        try:
            await self._make()
        except (InvalidRequestError, UnauthorizedError):
            with suppress(UnauthorizedError):  # the first one says it
                await self._unmake()
            raise
        return self.found

    async def _make(self) -> None:
        if not self.found["key"]:
            name = await import_key(self._calls, self._preparation)
            self._made.append(("DeleteKeyPair", "KeyName", name))
            self.found["key"] = name
        self.found |= await self._groups.resolved()
        for name in self._placement_names():
            if not self.found[resource("placement-group", name)]:
                await self._make_placement(name)

    async def _unmake(self) -> None:
        groups = [("DeleteSecurityGroup", "GroupId", id) for id in self._groups.made]
        for action, field, value in (*groups, *self._made):
            parameter: dict[str, Any] = {field: value}
            await _unless_gone(self._calls(action, **parameter))

    # Where instances go

    async def _subnets(self) -> None:
        """Find all subnets that are named; they say in which VPC we are."""
        texts = {
            text: field
            for _, options in self._wishes
            for field in ("network_ids", "subnets")
            for text in getattr(options, field)
        }
        if not texts:
            return
        by_text: dict[str, Mapping[str, Any]] = {}
        ids = {text for text in texts if text.startswith("subnet-")}
        for name, values in (("subnet-id", ids), ("tag:Name", set(texts) - ids)):
            if values:
                listed = self._calls.pages(
                    "DescribeSubnets", "Subnets", Filters=[wanted(name, *values)]
                )
                async for subnet in listed:
                    for text in _called(subnet) & values:
                        by_text[text] = subnet
        for text, field in sorted(texts.items()):
            if text not in by_text:
                raise self._missing(field, text, "give its id, or its tag Name")
            self.found[resource("subnet", text)] = by_text[text]["SubnetId"]
            self._groups.vpcs.add(by_text[text]["VpcId"])

    async def _flavors(self) -> None:
        """Check flavors that botocore has not heard of, and those bound to zones."""
        known = await self._calls.enumeration("InstanceType")
        wishes = [
            ((spec.flavor, *options.flavors), options.zones)
            for spec, options in self._wishes
        ]
        asked = {
            flavor
            for flavors, zones in wishes
            for flavor in flavors
            if zones or flavor not in known
        }
        if not asked:
            return
        offered = await self._offered(asked)
        named = {zone for _, zones in wishes for zone in zones}
        await self._check_zones(named.difference(*offered.values()))
        for flavors, zones in wishes:
            for flavor in sorted(asked.intersection(flavors)):
                places = offered.get(flavor, frozenset())
                if not places:
                    field = "flavor" if flavor == flavors[0] else "flavors"
                    raise self._missing(field, flavor, "give an instance type")
                if zones and not places.intersection(zones):
                    raise InvalidRequestError(
                        f"zones={','.join(zones)!r}: EC2 offers flavor {flavor} in "
                        f"{', '.join(sorted(places))} only: give one of these zones"
                    )

    async def _check_zones(self, zones: Collection[str]) -> None:
        """Check zones that offer nothing of what is asked for: there may be none."""
        if not zones:
            return
        answer = await self._calls("DescribeAvailabilityZones")
        known = {zone["ZoneName"] for zone in answer.get("AvailabilityZones", ())}
        for zone in sorted(set(zones) - known):
            raise self._missing("zones", zone, f"it has {', '.join(sorted(known))}")

    async def _offered(self, flavors: Collection[str]) -> Mapping[str, frozenset[str]]:
        zones: dict[str, frozenset[str]] = {}
        offers = self._calls.pages(
            "DescribeInstanceTypeOfferings",
            "InstanceTypeOfferings",
            LocationType="availability-zone",
            Filters=[wanted("instance-type", *flavors)],
        )
        async for offer in offers:
            flavor = offer["InstanceType"]
            zones[flavor] = zones.get(flavor, frozenset()) | {offer["Location"]}
        return zones

    # What they are made of

    async def _images(self) -> None:
        texts = {spec.image_id for spec, _ in self._wishes}
        ids = {text for text in texts if _IMAGE_ID.fullmatch(text)}
        lookups = [partial(self._named_image, text) for text in texts - ids]
        if ids:
            lookups.append(partial(self._images_by_id, ids))
        await together(*lookups)

    async def _images_by_id(self, ids: Collection[str]) -> None:
        answer = await self._calls(
            "DescribeImages", Filters=[wanted("image-id", *ids)], IncludeDeprecated=True
        )
        listed = {image["ImageId"]: image for image in answer.get("Images", ())}
        for text in sorted(ids):
            if text not in listed:
                raise self._missing("image_id", text, "give an image of this region")
            self._found_image(text, listed[text])

    async def _named_image(self, text: str) -> None:
        """Find the newest image of a name (`*` and `?` match), maybe of an owner."""
        owned = _OWNER.fullmatch(text)
        owner, name = owned.groups() if owned else ("", text)
        owners: dict[str, Any] = {"Owners": [owner]} if owner else {}
        answer = await self._calls(
            "DescribeImages",
            Filters=[wanted("name", name), wanted("state", "available")],
            **owners,
        )
        images = answer.get("Images", ())
        if not images:
            raise self._missing("image_id", text, "give an id, or `owner/name`")
        newest = max(images, key=lambda image: str(image.get("CreationDate", "")))
        self._found_image(text, newest)

    def _found_image(self, text: str, image: Mapping[str, Any]) -> None:
        self.found[resource("image", text)] = image["ImageId"]
        if device := image.get("RootDeviceName"):
            self.found[resource("device", text)] = device

    async def _key(self) -> None:
        self.found["key"] = await found_key(self._calls, self._preparation)

    # Placement groups

    def _placement_names(self) -> list[str]:
        return sorted({o.placement_group for _, o in self._wishes} - {""})

    async def _placements(self) -> None:
        names = self._placement_names()
        if not names:
            return
        mine = {own_name(name, self._preparation.cluster_id): name for name in names}
        answer = await self._calls(
            "DescribePlacementGroups", Filters=[wanted("group-name", *names, *mine)]
        )
        listed = {group["GroupName"] for group in answer.get("PlacementGroups", ())}
        for made, name in mine.items():
            there = next((group for group in (name, made) if group in listed), "")
            self.found[resource("placement-group", name)] = there

    async def _make_placement(self, name: str) -> None:
        made = own_name(name, self._preparation.cluster_id)
        try:
            await self._calls(
                "CreatePlacementGroup",
                GroupName=made,
                Strategy="cluster",
                TagSpecifications=[tags_for("placement-group", self._preparation)],
            )
        except InvalidRequestError as error:
            if not error.code.endswith(".Duplicate"):
                raise
        self._made.append(("DeletePlacementGroup", "GroupName", made))
        self.found[resource("placement-group", name)] = made

    def _missing(self, field: str, value: str, remedy: str) -> InvalidRequestError:
        region = self._calls.target.region
        return InvalidRequestError(
            f"{field}={value!r}: EC2 has no such thing in {region}: {remedy}"
        )


def _called(subnet: Mapping[str, Any]) -> set[str]:
    """Return what a subnet may be called by."""
    names = {tag["Value"] for tag in subnet.get("Tags", ()) if tag["Key"] == "Name"}
    return {subnet["SubnetId"], *names}


async def remove_made(calls: Calls, cluster_id: str) -> None:
    """Delete what bears the cluster's id, instances apart; raises `ProviderError`."""
    listed = calls.pages(
        "DescribeTags",
        "Tags",
        Filters=[
            wanted("key", CLUSTER_ID),
            wanted("value", cluster_id),
            wanted("resource-type", *_REMOVALS),
        ],
    )
    async for tag in listed:
        if (remove := _REMOVALS.get(tag["ResourceType"])) is not None:
            await _unless_gone(remove(calls, tag["ResourceId"]))


async def _unless_gone(removal: Awaitable[object]) -> None:
    """Wait for a removal; that there is nothing to remove is success."""
    try:
        await removal
    except InvalidRequestError as error:
        if "NotFound" not in error.code and "Unknown" not in error.code:
            raise


async def _release_address(calls: Calls, id: str) -> None:
    await calls("ReleaseAddress", AllocationId=id)


async def _delete_group(calls: Calls, id: str) -> None:
    await calls("DeleteSecurityGroup", GroupId=id)


async def _delete_key(calls: Calls, id: str) -> None:
    """Delete a key pair by its name: not every endpoint knows another way."""
    answer = await calls("DescribeKeyPairs", Filters=[wanted("key-pair-id", id)])
    for pair in answer.get("KeyPairs", ()):
        if pair.get("KeyPairId") == id:
            await calls("DeleteKeyPair", KeyName=pair["KeyName"])


async def _delete_placement_group(calls: Calls, id: str) -> None:
    """Delete a placement group, which EC2 takes by name only."""
    answer = await calls("DescribePlacementGroups", GroupIds=[id])
    for group in answer.get("PlacementGroups", ()):
        await calls("DeletePlacementGroup", GroupName=group["GroupName"])


#: How to remove what was made for a cluster, by its kind.
_REMOVALS: Mapping[str, Callable[[Calls, str], Awaitable[None]]] = {
    "elastic-ip": _release_address,
    "key-pair": _delete_key,
    "placement-group": _delete_placement_group,
    "security-group": _delete_group,
}
