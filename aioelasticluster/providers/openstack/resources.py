"""What a launch needs: looked up first, made if it is missing, removed at the end."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from aioelasticluster._aio.tasks import together
from aioelasticluster._log import log
from aioelasticluster.errors import (
    InvalidRequestError,
    QuotaError,
    UnauthorizedError,
)
from aioelasticluster.providers.base import Preparation
from aioelasticluster.providers.key_pairs import blob, pair_of
from aioelasticluster.providers.openstack.naming import made_for, made_name
from aioelasticluster.providers.openstack.options import NO_GROUP, OpenStackOptions
from aioelasticluster.providers.options import MADE_GROUP, admitted, resource

if TYPE_CHECKING:
    from aioelasticluster.providers.openstack.connection import Calls

#: What `LaunchOrder.resources["made"]` says was made, beside a key and server groups.
GROUPS, FLOATING = "security-groups", "floating-addresses"

_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")


class Preparing:
    """Looks up and makes what one cluster needs; `found` is what launches take."""

    def __init__(self, calls: Calls, preparation: Preparation) -> None:
        self._calls = calls
        self._preparation = preparation
        self._wishes = [(spec, OpenStackOptions.of(spec)) for spec in preparation.specs]
        self._groups: dict[str, str] = {}
        self._made: list[tuple[str, str]] = []  # where each is deleted
        self._known = False  # whether something was made for the cluster before
        self.found: dict[str, str] = {}

    @property
    def first(self) -> bool:
        """Whether it made what nobody prepares a cluster without, and found none of it.

        Then nothing else was ever made for the cluster.
        """
        return bool(self._made) and not self._known

    async def __call__(self) -> Mapping[str, str]:
        """Return what the launches take; raises `ProviderError`.

        Nothing is left behind by an error that says that the plan is wrong; what the
        cluster had before stays.
        """
        _check_key(self._preparation)
        await together(self._zones)
        await together(
            self._flavors,
            self._images,
            self._networks,
            self._volumes,
            self._look_up_groups,
            self._key,
            self._look_up_server_groups,
        )
        self.found["made"] = ",".join(self._to_be_made())
        try:
            await self._make()
        except (InvalidRequestError, UnauthorizedError):
            with suppress(UnauthorizedError):  # the first one says it
                for service, path in reversed(self._made):
                    await delete(self._calls, service, path)
            raise
        return self.found

    def _to_be_made(self) -> list[str]:
        made = []
        if any(options.ssh_from for _, options in self._wishes):
            made.append(GROUPS)
        if any(options.request_floating_ip for _, options in self._wishes):
            made.append(FLOATING)
        return made

    async def _make(self) -> None:
        if not self.found["key"]:
            self.found["key"] = await self._import_key()
        for text, networks in admitted(self._wishes).items():
            id = await self._provide_group(text, networks)
            self.found[resource(MADE_GROUP, text)] = id
        policies = {options.policy for _, options in self._wishes} - {""}
        for policy in sorted(policies):
            key = resource("server-group", policy)
            if key not in self.found:
                self.found[key] = await self._provide_server_group(policy)

    # What nodes are made of

    async def _zones(self) -> None:
        wanted = {zone for _, options in self._wishes for zone in options.zones}
        if not wanted:
            return
        answer = await self._calls.get("compute", "/os-availability-zone")
        known = {zone["zoneName"] for zone in answer["availabilityZoneInfo"]}
        for zone in sorted(wanted - known):
            raise missing("zones", zone, known)

    async def _flavors(self) -> None:
        texts = {
            flavor
            for spec, options in self._wishes
            for flavor in (spec.flavor, *options.flavors)
        }
        answer = await self._calls.get("compute", "/flavors")
        by_text = {f["id"]: f["id"] for f in answer["flavors"]}
        by_text |= {f["name"]: f["id"] for f in answer["flavors"]}
        for text in sorted(texts):
            if text not in by_text:
                names = {f["name"] for f in answer["flavors"]}
                raise missing("flavor", text, names)
            self.found[resource("flavor", text)] = by_text[text]

    async def _images(self) -> None:
        texts = {spec.image_id for spec, _ in self._wishes}
        await together(*(partial(self._image, text) for text in sorted(texts)))

    async def _image(self, text: str) -> None:
        """Find an image by id or name; of several with a name, the newest."""
        query = {"id": f"in:{text}"} if _UUID.fullmatch(text) else {"name": text}
        answer = await self._calls.get("image", "/images", **query)
        images = [i for i in answer["images"] if i.get("status") == "active"]
        if not images:
            raise missing("image_id", text, ())
        newest = max(images, key=lambda image: str(image.get("created_at", "")))
        self.found[resource("image", text)] = newest["id"]

    async def _networks(self) -> None:
        answer = await self._calls.get("network", "/networks")
        networks = answer["networks"]
        inside = [n for n in networks if not n.get("router:external")]
        outside = [n for n in networks if n.get("router:external")]
        for _, options in self._wishes:
            key = resource("networks", ",".join(options.network_ids))
            self.found[key] = ",".join(
                _only("network_ids", text, networks if text else inside)
                for text in options.network_ids or ("",)
            )
            if options.request_floating_ip:
                name = options.floating_network_id
                floating = _only("floating_network_id", name, outside)
                self.found[resource("floating-network", name)] = floating

    async def _volumes(self) -> None:
        """Find out whether there are volumes to boot from, and of the types wanted."""
        sizes = [o.boot_disk_size for _, o in self._wishes if o.boot_disk_size]
        if not sizes:
            return
        try:
            answer = await self._calls.get("block_storage", "/types")
        except InvalidRequestError as error:
            raise InvalidRequestError(
                f"boot_disk_size={sizes[0]}: the cloud has no volumes to boot from "
                f"({error.message}): leave it out, then nodes have their flavor's disk"
            ) from error
        known = {t[key] for t in answer["volume_types"] for key in ("id", "name")}
        wanted = {options.boot_disk_type for _, options in self._wishes} - {""}
        for text in sorted(wanted - known):
            names = {t["name"] for t in answer["volume_types"]}
            raise missing("boot_disk_type", text, names)

    # The key pair

    async def _key(self) -> None:
        """Find the key pair that holds the public key, "" if there is none yet."""
        answer = await self._calls.get("compute", "/os-keypairs")
        pairs = [item["keypair"] for item in answer["keypairs"]]
        listed = {pair["name"]: pair for pair in pairs}
        made = made_name(self._preparation.cluster_id)
        self._known |= made in listed
        ours = blob(self._preparation.public_key)
        self.found["key"] = pair_of(
            self._preparation,
            listed,
            (made, self._preparation.key_name),
            lambda pair: blob(pair["public_key"]) == ours,
            whose="Nova's",
            fingerprint="fingerprint",
        )

    async def _import_key(self) -> str:
        name = made_name(self._preparation.cluster_id)
        key = {"name": name, "public_key": self._preparation.public_key.strip()}
        try:
            await self._calls.send(
                "compute", "POST", "/os-keypairs", json={"keypair": key}
            )
        except InvalidRequestError as error:
            if "already exists" not in error.message:
                raise  # else a lost answer's repeat
        self._made.append(("compute", f"/os-keypairs/{name}"))
        return name

    # Security groups

    async def _look_up_groups(self) -> None:
        answer = await self._calls.get("network", "/security-groups")
        mine = made_for(self._preparation.cluster_id)
        by_text: dict[str, set[str]] = {}
        for group in answer["security_groups"]:
            if group["description"] == mine:
                self._known = True
                self._groups[group["name"]] = group["id"]
            for text in (group["id"], group["name"]):
                by_text.setdefault(text, set()).add(group["id"])
        for spec, options in self._wishes:
            if options.ssh_from:
                continue
            ids: list[str] = []
            for part in filter(None, map(str.strip, spec.security_group.split(","))):
                if len(by_text.get(part, ())) != 1:
                    raise missing("security_group", part, by_text)
                ids += by_text[part]
            self.found[resource("group", spec.security_group)] = ",".join(ids)

    async def _provide_group(self, text: str, networks: Collection[str]) -> str:
        """Make the group if it is not there, with its rules; return its id."""
        name = f"{text}-{self._preparation.cluster_id[:8]}"
        if name not in self._groups:
            group = {
                "name": name,
                "description": made_for(self._preparation.cluster_id),
            }
            answer = await self._calls.send(
                "network", "POST", "/security-groups", json={"security_group": group}
            )
            self._groups[name] = answer["security_group"]["id"]
            self._made.append(("network", f"/security-groups/{self._groups[name]}"))
        id = self._groups[name]
        for rule in _rules(id, networks):
            try:
                await self._calls.send(
                    "network",
                    "POST",
                    "/security-group-rules",
                    json={"security_group_rule": rule},
                )
            except InvalidRequestError as error:
                if error.code != "409":
                    raise
        return id

    # Server groups

    async def _look_up_server_groups(self) -> None:
        wanted = {options.group for _, options in self._wishes} - {NO_GROUP}
        if not wanted:
            return
        answer = await self._calls.get("compute", "/os-server-groups")
        mine = made_name(self._preparation.cluster_id)
        for group in answer["server_groups"]:
            if group["name"] == mine:
                self._known = True
                policy = next(iter(group["policies"]), "")
                self.found[resource("server-group", policy)] = group["id"]
        policies = {options.policy for _, options in self._wishes}
        for text in sorted(wanted - policies):
            groups = answer["server_groups"]
            self.found[resource("server-group", text)] = _only(
                "server_group", text, groups
            )

    async def _provide_server_group(self, policy: str) -> str:
        """Make the group; return its id, "" if the quota has no room and no need."""
        try:
            return await self._make_server_group(policy)
        except QuotaError as error:
            if any(options.server_group == policy for _, options in self._wishes):
                raise
            log.warning("nodes are not kept apart: %s", error)
            return ""

    async def _make_server_group(self, policy: str) -> str:
        group = {
            "name": made_name(self._preparation.cluster_id),
            "policies": [policy],
        }
        answer = await self._calls.send(
            "compute", "POST", "/os-server-groups", json={"server_group": group}
        )
        id = str(answer["server_group"]["id"])
        self._made.append(("compute", f"/os-server-groups/{id}"))
        return id


def missing(field: str, value: str, known: Collection[str]) -> InvalidRequestError:
    """Return the error for something that the cloud does not have."""
    some = ", ".join(sorted(known)[:20])
    remedy = f"it has {some}" if some else "give an id or a name that it knows"
    return InvalidRequestError(
        f"{field}={value!r}: the cloud has no such thing, or several of them: {remedy}"
    )


def _only(field: str, text: str, things: Collection[Mapping[str, Any]]) -> str:
    """Return the id of the one thing that a text means; "" is the only one there is."""
    fitting = [t for t in things if text in ("", t["id"], t["name"])]
    if len(fitting) != 1:
        raise missing(field, text, {thing["name"] for thing in things})
    return str(fitting[0]["id"])


def _check_key(preparation: Preparation) -> None:
    if not blob(preparation.public_key):
        raise InvalidRequestError("ssh_key_pub: not a public key in OpenSSH's format")


def _rules(id: str, networks: Collection[str]) -> list[dict[str, Any]]:
    """Return who may reach the nodes: SSH from some networks, and each other."""
    common = {"security_group_id": id, "direction": "ingress"}
    ssh = [
        {
            **common,
            "ethertype": "IPv6" if ":" in network else "IPv4",
            "protocol": "tcp",
            "port_range_min": 22,
            "port_range_max": 22,
            "remote_ip_prefix": network,
        }
        for network in networks
    ]
    each_other = [
        {**common, "ethertype": version, "remote_group_id": id}
        for version in ("IPv4", "IPv6")
    ]
    return [*ssh, *each_other]


async def remove_made(
    calls: Calls, cluster_id: str, *, kinds: Collection[str] = (GROUPS, FLOATING)
) -> None:
    """Delete what bears the cluster's id, servers apart; raises `ProviderError`.

    `kinds` says which of what is seldom made may be there.
    """
    name, mine = made_name(cluster_id), made_for(cluster_id)
    if FLOATING in kinds:
        answer = await calls.get("network", "/floatingips", description=mine)
        for address in answer["floatingips"]:
            await delete(calls, "network", f"/floatingips/{address['id']}")
    await delete(calls, "compute", f"/os-keypairs/{name}")
    answer = await calls.get("compute", "/os-server-groups")
    for group in answer["server_groups"]:
        if group["name"] == name:
            await delete(calls, "compute", f"/os-server-groups/{group['id']}")
    if GROUPS in kinds:
        answer = await calls.get("network", "/security-groups", description=mine)
        for group in answer["security_groups"]:
            await delete(calls, "network", f"/security-groups/{group['id']}")


async def delete(calls: Calls, service: str, path: str) -> None:
    """Delete one thing; that it is not there is success."""
    try:
        await calls.send(service, "DELETE", path)
    except InvalidRequestError as error:
        if error.code != "404":
            raise
