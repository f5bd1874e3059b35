"""Security groups: the user's by name or id, and those that are made on request."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from aioelasticluster.errors import InvalidRequestError
from aioelasticluster.providers.base import Preparation
from aioelasticluster.providers.ec2.calls import Calls
from aioelasticluster.providers.ec2.listing import wanted
from aioelasticluster.providers.ec2.naming import own_name, tags_for
from aioelasticluster.providers.ec2.options import Ec2Options
from aioelasticluster.providers.options import MADE_GROUP, admitted, resource


class Groups:
    """Finds the groups of a cluster's nodes; a node may have several, with commas.

    `vpcs` are those that the nodes' subnets are in; without any it is the provider's
    `vpc`, or the default one. `made` are the ids of those that were made now.
    """

    def __init__(self, calls: Calls, preparation: Preparation, vpc: str) -> None:
        self._calls = calls
        self._preparation = preparation
        self._vpc = vpc
        self.vpcs: set[str] = set()
        self.made: list[str] = []
        wishes = [(spec, Ec2Options.of(spec)) for spec in preparation.specs]
        self._to_make = admitted(wishes)
        self._texts = {
            s.security_group for s, options in wishes if not options.ssh_from
        }
        self._by_name: dict[str, dict[str, str]] = defaultdict(dict)  # name, VPC, id
        self._ids: set[str] = set()

    async def look_up(self) -> None:
        """Find all groups that must exist; raises `InvalidRequestError`."""
        if len(self.vpcs) > 1:
            raise InvalidRequestError(
                f"subnets: they are in several VPCs, {', '.join(sorted(self.vpcs))}: "
                "a cluster's security groups are in one"
            )
        if self._vpc and not self.vpcs:
            self.vpcs.add(await self._named_vpc(self._vpc))
        names, ids = self._names()
        for name, values in (("group-name", names), ("group-id", ids)):
            if values:
                await self._list(name, values)
        for text in sorted(self._texts):
            for part in _parts(text):
                await self._id_of(part)

    async def resolved(self) -> Mapping[str, str]:
        """Return the ids for each node's text, after making what is to be made."""
        found: dict[str, str] = {}
        for text in self._texts:
            ids = [await self._id_of(part) for part in _parts(text)]
            found[resource("group", text)] = ",".join(ids)
        for text, networks in self._to_make.items():
            found[resource(MADE_GROUP, text)] = await self._provide(text, networks)
        return found

    def _names(self) -> tuple[set[str], set[str]]:
        """Return the names and the ids to look up."""
        parts = {part for text in self._texts for part in _parts(text)}
        ids = {part for part in parts if part.startswith("sg-")}
        return (parts - ids) | {self._own(text) for text in self._to_make}, ids

    def _own(self, text: str) -> str:
        return own_name(text, self._preparation.cluster_id)

    async def _list(self, name: str, values: Collection[str]) -> None:
        filters = [wanted(name, *values)]
        if self.vpcs:
            filters.append(wanted("vpc-id", *self.vpcs))
        listed = self._calls.pages(
            "DescribeSecurityGroups", "SecurityGroups", Filters=filters
        )
        async for group in listed:
            self._ids.add(group["GroupId"])
            vpc = group.get("VpcId", "")
            self._by_name[group["GroupName"]][vpc] = group["GroupId"]

    async def _id_of(self, part: str) -> str:
        """Return a group's id; a name may be taken in several VPCs."""
        if part in self._ids:
            return part
        by_vpc = self._by_name.get(part, {})
        if len(by_vpc) > 1 and not self.vpcs:
            self.vpcs.add(await self._default_vpc())
        there = {vpc: id for vpc, id in by_vpc.items() if vpc in self.vpcs} or by_vpc
        if len(there) != 1:
            raise InvalidRequestError(
                f"security_group={part!r}: EC2 has no such group in "
                f"{self._calls.target.region}{self._in_vpc()}: give the id or name of "
                "one, or ssh_from=… to have it made"
            )
        return next(iter(there.values()))

    def _in_vpc(self) -> str:
        return f", {', '.join(sorted(self.vpcs))}" if self.vpcs else ""

    async def _default_vpc(self) -> str:
        answer = await self._calls(
            "DescribeVpcs", Filters=[wanted("is-default", "true")]
        )
        return str(next((vpc["VpcId"] for vpc in answer.get("Vpcs", ())), ""))

    async def _named_vpc(self, text: str) -> str:
        name = "vpc-id" if text.startswith("vpc-") else "tag:Name"
        answer = await self._calls("DescribeVpcs", Filters=[wanted(name, text)])
        vpcs = [vpc["VpcId"] for vpc in answer.get("Vpcs", ())]
        if len(vpcs) != 1:
            raise InvalidRequestError(
                f"vpc={text!r}: {len(vpcs)} VPCs are called so in "
                f"{self._calls.target.region}: give the id or name of one"
            )
        return str(vpcs[0])

    # Making one

    async def _provide(self, text: str, networks: Collection[str]) -> str:
        """Make the group if it is not there, with its rules; return its id."""
        name = self._own(text)
        id = next(iter(self._by_name.get(name, {}).values()), "")
        if not id:
            id = await self._create(name)
            self.made.append(id)
        if not await self._admit(id, _rules(id, networks)):
            for network in networks:  # one that is there spoils a request for all
                await self._admit(id, _rules(id, [network])[:1])
            await self._admit(id, _rules(id, ())[1:])
        return id

    async def _admit(self, id: str, rules: list[dict[str, Any]]) -> bool:
        """Add rules to a group, False if one of them is there already."""
        try:
            await self._calls(
                "AuthorizeSecurityGroupIngress", GroupId=id, IpPermissions=rules
            )
        except InvalidRequestError as error:
            if error.code != "InvalidPermission.Duplicate":
                raise
            return False
        return True

    async def _create(self, name: str) -> str:
        vpc: dict[str, Any] = {"VpcId": next(iter(self.vpcs))} if self.vpcs else {}
        try:
            answer = await self._calls(
                "CreateSecurityGroup",
                GroupName=name,
                Description=f"cluster {self._preparation.cluster}",
                TagSpecifications=[tags_for("security-group", self._preparation)],
                **vpc,
            )
        except InvalidRequestError as error:
            if error.code != "InvalidGroup.Duplicate":
                raise
            await self._list("group-name", [name])  # a lost answer's repeat
            return await self._id_of(name)
        return str(answer["GroupId"])


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _rules(id: str, networks: Collection[str]) -> list[dict[str, Any]]:
    """Return who may reach the nodes: SSH from some networks, and each other."""
    old = [{"CidrIp": n} for n in networks if ":" not in n]
    new = [{"CidrIpv6": n} for n in networks if ":" in n]
    ssh: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    if old:
        ssh["IpRanges"] = old
    if new:
        ssh["Ipv6Ranges"] = new
    return [ssh, {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": id}]}]
