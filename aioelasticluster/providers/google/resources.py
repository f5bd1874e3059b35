"""What a launch needs: looked up first, made if it is asked for, removed at the end."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from aioelasticluster._aio.tasks import together
from aioelasticluster.errors import (
    InvalidRequestError,
    TransientError,
    UnauthorizedError,
)
from aioelasticluster.providers.base import Preparation
from aioelasticluster.providers.google.naming import (
    cluster_name,
    is_zone,
    last_part,
    region_of,
)
from aioelasticluster.providers.google.options import GoogleOptions
from aioelasticluster.providers.options import Place, resource

if TYPE_CHECKING:
    from aioelasticluster.providers.google.calls import Calls

#: Images: `projects/P/global/images/[family/]NAME`, `P/[family/]NAME`, or `NAME` in the
#: project itself.
_IMAGE = re.compile(
    r"(?:(?:https://[^ ]+/)?projects/)?(?:(?P<project>[a-z][a-z0-9:.-]+)/)?"
    r"(?:global/images/)?(?P<family>family/)?(?P<name>[a-z][a-z0-9-]*)"
)

#: The firewall rules of a cluster: SSH from outside, and all among its nodes.
RULES = ("ssh", "inside")


class Preparing:
    """Looks up and makes what one cluster needs; `found` is what launches take."""

    def __init__(self, calls: Calls, preparation: Preparation, zone: str) -> None:
        self._calls = calls
        self._preparation = preparation
        self._wishes = [(spec, GoogleOptions.of(spec)) for spec in preparation.specs]
        self._zone = zone
        self._made: list[str] = []
        self._network_of: dict[tuple[str, str], str] = {}
        self.found: dict[str, str] = {}

    async def __call__(self) -> Mapping[str, str]:
        """Return what the launches take; raises `ProviderError`.

        Nothing is left behind by an error that says that the plan is wrong; what the
        cluster had before stays.
        """
        await together(self._regions, self._images, self._flavors, self._networks)
        self._open_networks()
        networks = {n for _, options in self._wishes for n in options.ssh_from}
        if networks:
            try:
                await self._make_rules(networks)
            except (InvalidRequestError, UnauthorizedError):
                with suppress(UnauthorizedError):  # the first one says it
                    await _delete_rules(self._calls, self._made)
                raise
        return self.found

    def _places(self) -> list[tuple[str, Place]]:
        """Return each flavor with the places in which it is tried."""
        return [
            (place.flavor or spec.flavor, place)
            for spec, options in self._wishes
            for place in map(Place.parsed, options.places(self._zone))
        ]

    async def _regions(self) -> None:
        regions = {p.where for _, p in self._places() if not is_zone(p.where)}
        await together(*(partial(self._exists, region) for region in sorted(regions)))

    async def _exists(self, place: str) -> None:
        kind = "zones" if is_zone(place) else "regions"
        await self._need("zones", place, f"/{kind}/{place}")

    async def _flavors(self) -> None:
        """Look flavors up where they can be: a region has no list of its own."""
        asked = {(f, p.where) for f, p in self._places() if is_zone(p.where)}
        await together(*(partial(self._flavor, f, z) for f, z in sorted(asked)))

    async def _flavor(self, flavor: str, zone: str) -> None:
        try:
            path = f"/zones/{zone}/machineTypes/{flavor}"
            await self._need("flavor", flavor, path)
        except InvalidRequestError:
            await self._exists(zone)  # else that is what is wrong
            raise

    async def _images(self) -> None:
        texts = {spec.image_id for spec, _ in self._wishes}
        await together(*(partial(self._image, text) for text in sorted(texts)))

    async def _image(self, text: str) -> None:
        parts = _IMAGE.fullmatch(text)
        if parts is None:
            raise missing("image_id", text, "give PROJECT/NAME or PROJECT/family/NAME")
        project = parts["project"] or self._calls.target.project
        family = parts["family"] or ""
        path = f"/global/images/{family}{parts['name']}"
        image = await self._need("image_id", text, path, project=project)
        found = f"projects/{project}/global/images/{image['name']}"
        self.found[resource("image", text)] = found

    async def _networks(self) -> None:
        wanted = {
            (options.network, options.subnetwork, region_of(place.where))
            for spec, options in self._wishes
            for place in map(Place.parsed, options.places(self._zone))
        }
        for network, subnetwork, region in sorted(wanted):
            if subnetwork:
                path = f"/regions/{region}/subnetworks/{subnetwork}"
                found = await self._need("subnetwork", subnetwork, path)
                self._network_of[subnetwork, region] = last_part(found["network"])
            else:
                name = network or "default"
                await self._need("network", name, f"/global/networks/{name}")

    async def _need(
        self, field: str, value: str, path: str, *, project: str = ""
    ) -> Mapping[str, Any]:
        """Return something that must exist; raises `InvalidRequestError`."""
        try:
            return await self._calls.get(path, project=project)
        except InvalidRequestError as error:
            raise missing(field, value, error.message) from error

    # Firewall rules

    async def _make_rules(self, networks: Collection[str]) -> None:
        cluster_id = self._preparation.cluster_id
        name = cluster_name(cluster_id)
        ssh = {
            "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}],
            "sourceRanges": sorted(networks),
        }
        inside = {
            "allowed": [{"IPProtocol": "all"}],
            "sourceTags": [name],
        }
        (network,) = self._open_networks()
        for what, rule in zip(RULES, (ssh, inside), strict=True):
            await self._make_rule(
                {
                    **rule,
                    "name": cluster_name(cluster_id, what),
                    "network": f"global/networks/{network}",
                    "targetTags": [name],
                    "description": f"cluster {self._preparation.cluster}",
                }
            )

    def _open_networks(self) -> set[str]:
        """Return the one network that rules are for; raises `InvalidRequestError`."""
        used = {
            self._network_of.get(
                (options.subnetwork, region_of(Place.parsed(place).where)),
                options.network or "default",
            )
            for _, options in self._wishes
            for place in options.places(self._zone)
            if options.ssh_from
        }
        if len(used) > 1:
            raise _several(used)
        return used

    async def _make_rule(self, rule: Mapping[str, Any]) -> None:
        from aioelasticluster.providers.google.calls import succeeded

        try:
            operation = await self._calls.send("POST", "/global/firewalls", rule)
        except InvalidRequestError as error:
            if error.code not in ("alreadyExists", "409"):
                raise
            return await self._widen(rule)
        self._made.append(rule["name"])
        await succeeded(self._calls, operation)

    async def _widen(self, rule: Mapping[str, Any]) -> None:
        """Have a rule that the cluster has admit what this one admits, too."""
        from aioelasticluster.providers.google.calls import missing_is_none, succeeded

        path = f"/global/firewalls/{rule['name']}"
        there = await missing_is_none(
            self._calls.get(path, fields="network,sourceRanges")
        )
        if there is None:  # another process is making it, or deleting it
            raise TransientError(f"firewall rule {rule['name']} is not there yet")
        networks = {last_part(each["network"]) for each in (there, rule)}
        if len(networks) > 1:
            raise _several(networks)
        admitted = set(there.get("sourceRanges", ()))
        if wider := set(rule.get("sourceRanges", ())) - admitted:
            change = {"name": rule["name"], "sourceRanges": sorted(admitted | wider)}
            await succeeded(self._calls, await self._calls.send("PATCH", path, change))


def _several(networks: Iterable[str]) -> InvalidRequestError:
    return InvalidRequestError(
        f"ssh_from: the nodes it is given for are on several networks, "
        f"{', '.join(sorted(networks))}: make the firewall rules there yourself"
    )


def missing(field: str, value: str, reason: str) -> InvalidRequestError:
    """Return the error for something that Google does not have, or does not show."""
    return InvalidRequestError(f"{field}={value!r}: there is no such thing: {reason}")


async def remove_made(calls: Calls, cluster_id: str) -> None:
    """Delete a cluster's firewall rules; raises `ProviderError`."""
    await _delete_rules(calls, [cluster_name(cluster_id, what) for what in RULES])


async def _delete_rules(calls: Calls, names: Iterable[str]) -> None:
    await together(*(partial(_delete_rule, calls, name) for name in names))


async def _delete_rule(calls: Calls, name: str) -> None:
    from aioelasticluster.providers.google.calls import missing_is_none, succeeded

    gone = calls.send("DELETE", f"/global/firewalls/{name}")
    if (operation := await missing_is_none(gone)) is not None:
        await missing_is_none(succeeded(calls, operation))
