"""Tags: checked, given in the call that makes a resource, or later."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from tests.clouds.ec2.account import RESOURCE_TYPES
from tests.clouds.ec2.actions import Call, Reply, action
from tests.clouds.ec2.refusals import RefusalError, invalid
from tests.clouds.ec2.selecting import page, selected

_MOST_TAGS, _LONGEST_KEY, _LONGEST_VALUE = 50, 128, 256

#: How the refusal calls a missing resource, by its type.
_MISSING = {
    "elastic-ip": "InvalidAllocationID.NotFound",
    "instance": "InvalidInstanceID.NotFound",
    "key-pair": "InvalidKeyPair.NotFound",
    "network-interface": "InvalidNetworkInterfaceID.NotFound",
    "placement-group": "InvalidPlacementGroup.Unknown",
    "security-group": "InvalidGroup.NotFound",
    "spot-instances-request": "InvalidSpotInstanceRequestID.NotFound",
    "subnet": "InvalidSubnetID.NotFound",
    "volume": "InvalidVolume.NotFound",
    "vpc": "InvalidVpcID.NotFound",
}


def specified(call: Call, *kinds: str) -> Mapping[str, dict[str, str]]:
    """Return the tags that a call asks for, by resource type."""
    found: dict[str, dict[str, str]] = {}
    for specification in call.get("TagSpecifications", ()):
        kind = specification.get("ResourceType", "")
        if kind not in kinds:
            raise invalid(
                f"'{kind}' is not a valid taggable resource type for this operation."
            )
        tags = found.setdefault(kind, {})
        tags |= checked(specification.get("Tags", ()), tags)
        _check_count(tags)
    return found


def checked(
    given: Iterable[Mapping[str, str]], before: Collection[str] = ()
) -> dict[str, str]:
    """Return tags by key; refuse what EC2 would."""
    tags: dict[str, str] = {}
    for tag in given:
        key, value = tag.get("Key", ""), tag.get("Value", "")
        if not key:
            raise invalid("Tag key cannot be empty")
        if len(key) > _LONGEST_KEY:
            raise invalid(
                f"Tag key exceeds the maximum length of {_LONGEST_KEY} characters"
            )
        if len(value) > _LONGEST_VALUE:
            raise invalid(
                f"Tag value exceeds the maximum length of {_LONGEST_VALUE} characters"
            )
        if key.startswith("aws:"):
            raise invalid("Tag keys starting with 'aws:' are reserved for internal use")
        if key in tags or key in before:
            raise invalid(f"Duplicate tag key '{key}' specified.")
        tags[key] = value
    return tags


def _check_count(tags: Mapping[str, str]) -> None:
    if len(tags) > _MOST_TAGS:
        raise RefusalError(
            "TagLimitExceeded",
            f"The maximum number of tags for a resource is {_MOST_TAGS}.",
        )


@action("CreateTags", "Resources", "Tags")
def create_tags(call: Call) -> Reply:
    """Add tags to resources, all or none."""
    tags = checked(call.get("Tags"))
    resources = _existing(call)
    for resource in resources:
        _check_count(call.account.tags.get(resource, {}) | tags)
    call.permitted()
    for resource in resources:
        call.account.tags.setdefault(resource, {}).update(tags)
    return {}


@action("DeleteTags", "Resources", "Tags")
def delete_tags(call: Call) -> Reply:
    """Remove tags: all, or by key, or only where the value is equal."""
    resources = _existing(call)
    call.permitted()
    for resource in resources:
        tags = call.account.tags.get(resource, {})
        asked = call.get("Tags", [{"Key": key} for key in tags])
        for tag in asked:
            if "Value" not in tag or tags.get(tag["Key"]) == tag["Value"]:
                tags.pop(tag["Key"], None)
    return {}


def _existing(call: Call) -> Sequence[str]:
    """Return the resources that a call names; refuse all if one is not there."""
    known = set(call.account.resources(call.behaviour))
    named: Sequence[str] = call.get("Resources")
    for resource in named:
        if resource in known:
            continue
        kind = RESOURCE_TYPES.get(resource.partition("-")[0])
        if kind is None:
            raise RefusalError("InvalidID", f"The ID '{resource}' is not valid")
        raise RefusalError(_MISSING[kind], f"The ID '{resource}' does not exist")
    return named


@action("DescribeTags", "Filters", "MaxResults", "NextToken")
def describe_tags(call: Call) -> Reply:
    """List tags one by one."""
    tags = [
        {
            "Key": key,
            "Value": value,
            "ResourceId": resource,
            "ResourceType": RESOURCE_TYPES[resource.partition("-")[0]],
        }
        for resource in call.account.resources(call.behaviour)
        for key, value in call.account.tags.get(resource, {}).items()
    ]
    found = selected(
        call,
        tags,
        {
            "key": lambda tag: tag["Key"],
            "value": lambda tag: tag["Value"],
            "resource-id": lambda tag: tag["ResourceId"],
            "resource-type": lambda tag: tag["ResourceType"],
        },
    )
    shown, following = page(call, found)
    return {"Tags": list(shown), "NextToken": following}


def of_reply(reply: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of what a reply shows, by key."""
    return {tag["Key"]: tag["Value"] for tag in reply["Tags"]}
