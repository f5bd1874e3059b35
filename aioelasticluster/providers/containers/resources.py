"""What a cluster needs in an engine before its first container: looked up, or made."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aioelasticluster.errors import (
    InvalidRequestError,
    ProviderError,
    UnauthorizedError,
)
from aioelasticluster.model.records import NodeSpec
from aioelasticluster.providers.base import Preparation
from aioelasticluster.providers.containers.calls import (
    Calls,
    ConflictError,
    NotThereError,
)
from aioelasticluster.providers.containers.naming import (
    OURS,
    cluster_label,
    made_labels,
    made_name,
)
from aioelasticluster.providers.containers.options import ContainerOptions
from aioelasticluster.providers.options import resource

#: Under which key an order's resources hold the network, and whether nodes are reached
#: by a port of this machine, since their own addresses are not reachable from here.
NETWORK = "network"
PUBLISHED = "published"


def volume(name: str) -> str:
    """Return under which key an order's resources hold a volume's name."""
    return resource("volume", name)


def no_image(image: str, fault: ProviderError) -> InvalidRequestError:
    """Return the error that says how to get an image."""
    return InvalidRequestError(
        f"the engine has no image {image!r}: build one with `aioelasticluster image "
        f"build --tag {image}`, or pull one that has systemd and OpenSSH",
        code=fault.code,
    )


class Preparing:
    """Prepares one cluster: finds what there is, then makes what is missing."""

    def __init__(
        self, calls: Calls, preparation: Preparation, image: str, network: str
    ) -> None:
        self._calls, self._asked = calls, preparation
        self._image, self._network = image, network
        self._cluster_id = preparation.cluster_id
        self._new: list[tuple[str, str]] = []  # kinds and names of what this one made

    async def __call__(self) -> Mapping[str, str]:
        """Return the resources; what this made is gone again if anything is refused."""
        found = {PUBLISHED: "yes" if await self._out_of_reach() else ""}
        for image in sorted({self._image_of(spec) for spec in self._asked.specs}):
            await self._check_image(image)
        if self._network:
            found[NETWORK] = await self._given_network()
        missing = []
        for name in self._volumes():
            if there := await self._there(name):
                found[volume(name)] = there
            else:
                missing.append(name)
        try:
            if not self._network:
                found[NETWORK] = await self._own_network()
            for name in missing:
                found[volume(name)] = await self._own_volume(name)
        except (InvalidRequestError, UnauthorizedError):
            await _remove(self._calls, self._new)
            raise
        return found

    def _image_of(self, spec: NodeSpec) -> str:
        return ContainerOptions.of(spec).image or self._image

    def _volumes(self) -> Sequence[str]:
        """Return the names of all volumes that nodes want."""
        mounts = (ContainerOptions.of(spec).mounts() for spec in self._asked.specs)
        return sorted({one.source for each in mounts for one in each if one.named})

    async def _check_image(self, image: str) -> None:
        try:
            await self._calls.get(f"images/{image}/json")
        except NotThereError as error:
            raise no_image(image, error) from error

    async def _given_network(self) -> str:
        try:
            found = await self._calls.get(f"networks/{self._network}")
        except NotThereError as error:
            raise InvalidRequestError(
                f"the engine has no network {self._network!r}: make it (`docker "
                f"network create {self._network}`), or leave network out",
                code=error.code,
            ) from error
        return str(found["Name"])

    async def _there(self, name: str) -> str:
        """Return what a volume is called in the engine, "" if it is yet to be made.

        One that was made for the cluster before remains the one that its nodes share.
        """
        own = made_name(name, self._cluster_id)
        made = await _made(self._calls, "volumes", self._cluster_id)
        if own in {one["Name"] for one in made}:
            return own
        try:
            await self._calls.get(f"volumes/{name}")
        except NotThereError:
            return ""
        return name

    async def _own_network(self) -> str:
        """Return the cluster's network; make it if it is not there yet."""
        for one in await _made(self._calls, "networks", self._cluster_id):
            return str(one["Name"])
        name = made_name(self._asked.cluster, self._cluster_id)
        body = {
            "Name": name,
            "CheckDuplicate": True,
            "Labels": made_labels(self._cluster_id),
        }
        try:
            await self._calls.send("POST", "networks/create", body=body)
        except ConflictError as error:
            # A repeat of a request whose answer was lost, or somebody else's.
            if not await _made(self._calls, "networks", self._cluster_id):
                raise InvalidRequestError(
                    f"a network named {name} exists, and is not ours: remove it"
                ) from error
        self._new.append(("networks", name))
        return name

    async def _own_volume(self, wanted: str) -> str:
        name = made_name(wanted, self._cluster_id)
        body = {"Name": name, "Labels": made_labels(self._cluster_id)}
        await self._calls.send("POST", "volumes/create", body=body)
        self._new.append(("volumes", name))
        return name

    async def _out_of_reach(self) -> bool:
        """Whether containers' own addresses lead nowhere on this machine."""
        if sys.platform != "linux":
            return True  # there, every engine is in a machine of its own
        about = await self._calls.get("info")
        features = about.get("SecurityOptions") or ()
        desktop = "Desktop" in str(about.get("OperatingSystem") or "")
        return desktop or any("rootless" in feature for feature in features)


async def remove_made(calls: Calls, cluster_id: str) -> None:
    """Remove the networks and volumes that were made for a cluster."""
    for kind, key in (("networks", "Id"), ("volumes", "Name")):
        made = await _made(calls, kind, cluster_id)
        await _remove(calls, [(kind, one[key]) for one in made])


async def _remove(calls: Calls, things: Iterable[tuple[str, str]]) -> None:
    """Remove networks and volumes; those that are gone are success."""
    for kind, key in things:
        try:
            await calls.send("DELETE", f"{kind}/{key}")
        except NotThereError:
            pass


async def _made(
    calls: Calls, kind: str, cluster_id: str
) -> Sequence[Mapping[str, Any]]:
    found = await calls.listed(kind, [OURS, cluster_label(cluster_id)])
    return list((found["Volumes"] if kind == "volumes" else found) or ())
