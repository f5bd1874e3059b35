"""Placement groups: made, listed, deleted."""

from __future__ import annotations

import re

from tests.clouds.ec2.account import PlacementGroup, new_id
from tests.clouds.ec2.actions import Call, Reply, action
from tests.clouds.ec2.refusals import RefusalError, invalid
from tests.clouds.ec2.selecting import Fact, selected
from tests.clouds.ec2.tagging import of_reply, specified

_MOST_PARTITIONS = 7


@action(
    "CreatePlacementGroup",
    *("GroupName", "PartitionCount", "Strategy", "TagSpecifications"),
)
def create_placement_group(call: Call) -> Reply:
    """Make a placement group; the name must be free."""
    name, strategy = call.get("GroupName", ""), call.get("Strategy", "cluster")
    partitions = call.get("PartitionCount", 2 if strategy == "partition" else None)
    if not re.fullmatch(r"[ -~]{1,255}", name):
        raise invalid(f"Value ({name}) for parameter groupName is invalid.")
    if strategy not in ("cluster", "partition", "spread"):
        raise invalid(f"Value ({strategy}) for parameter strategy is invalid.")
    if partitions is not None and (
        strategy != "partition" or not 1 <= partitions <= _MOST_PARTITIONS
    ):
        raise invalid(f"Value ({partitions}) for parameter partitionCount is invalid.")
    tags = specified(call, "placement-group")
    if name in call.account.placement_groups:
        raise RefusalError(
            "InvalidPlacementGroup.Duplicate",
            f"The placement group '{name}' already exists.",
        )
    call.permitted()
    group = PlacementGroup(new_id("pg"), name, strategy, partitions)
    call.account.placement_groups[name] = group
    call.account.tags[group.id] = tags.get("placement-group", {})
    return {"PlacementGroup": _shown(call, group)}


def _shown(call: Call, group: PlacementGroup) -> Reply:
    return {
        "GroupArn": f"arn:aws:ec2:{call.account.region}:{call.account.id}:"
        f"placement-group/{group.name}",
        "GroupId": group.id,
        "GroupName": group.name,
        "PartitionCount": group.partitions,
        "State": "available",
        "Strategy": group.strategy,
        "Tags": call.account.tag_list(group.id),
    }


@action("DescribePlacementGroups", "Filters", "GroupIds", "GroupNames")
def describe_placement_groups(call: Call) -> Reply:
    """List placement groups; one unknown name or id refuses all."""
    groups = call.account.placement_groups
    by_id = {group.id: group for group in groups.values()}
    named = [_found(groups, name) for name in call.get("GroupNames", ())]
    named += [_found(by_id, group_id) for group_id in call.get("GroupIds", ())]
    facts: dict[str, Fact[Reply]] = {
        "group-id": lambda one: one["GroupId"],
        "group-name": lambda one: one["GroupName"],
        "state": lambda one: one["State"],
        "strategy": lambda one: one["Strategy"],
    }
    shown = [_shown(call, group) for group in named or groups.values()]
    return {"PlacementGroups": selected(call, shown, facts, of_reply)}


def _found(groups: dict[str, PlacementGroup], name: str) -> PlacementGroup:
    if name not in groups:
        raise RefusalError(
            "InvalidPlacementGroup.Unknown", f"The placement group '{name}' is unknown."
        )
    return groups[name]


@action("DeletePlacementGroup", "GroupName")
def delete_placement_group(call: Call) -> Reply:
    """Delete a placement group that has no instances any more."""
    group = _found(call.account.placement_groups, call.get("GroupName"))
    for one in call.account.instances.values():
        used = one.plan.placement_group == group.name
        if used and one.state(call.now) != "terminated":
            raise RefusalError(
                "InvalidPlacementGroup.InUse",
                f"The placement group '{group.name}' is in use and may not be deleted.",
            )
    call.permitted()
    del call.account.placement_groups[group.name]
    call.account.tags.pop(group.id, None)
    return {}
