"""Requests about instances, and what some endpoints need beyond one of each."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aioelasticluster.errors import InvalidRequestError
from aioelasticluster.providers.ec2.listing import (
    DECIDED,
    FILTER_VALUES,
    PAGE,
    Ec2Instance,
    chunks,
    instances_of,
    wanted,
)
from aioelasticluster.providers.ec2.naming import CLUSTER_ID
from aioelasticluster.providers.ec2.poller import Wanted
from aioelasticluster.providers.host_keys import host_keys_in

if TYPE_CHECKING:
    from aioelasticluster.providers.ec2.calls import Calls

_ID = re.compile(r"\bi-[0-9a-zA-Z]+")


async def listed(calls: Calls, *filters: Mapping[str, Any]) -> list[Ec2Instance]:
    """Return all instances that fit, page by page."""
    pages = calls.pages(
        "DescribeInstances", "Reservations", Filters=list(filters), MaxResults=PAGE
    )
    return list(instances_of([reservation async for reservation in pages]))


async def described(calls: Calls, wants: Wanted) -> Mapping[str, Sequence[Ec2Instance]]:
    """Return what there is to say of several clusters, in one list if possible."""
    found: dict[str, list[Ec2Instance]] = defaultdict(list)
    for clusters in chunks(wants, FILTER_VALUES):
        filters = [
            wanted(f"tag:{CLUSTER_ID}", *clusters),
            wanted("instance-state-name", *DECIDED),
        ]
        ids = {id for cluster in clusters for id in wants[cluster]}
        if len(ids) <= FILTER_VALUES:
            filters.append(wanted("instance-id", *ids))
        for instance in await listed(calls, *filters):
            if instance.tags is not None:
                found[instance.tags.cluster_id].append(instance)
    return found


async def change_known(calls: Calls, action: str, ids: Sequence[str]) -> None:
    """Change all instances that EC2 knows: one id that it does not spoils a request."""
    left = set(ids)
    while left:
        try:
            await calls(action, instances=len(left), InstanceIds=sorted(left))
            return
        except InvalidRequestError as error:
            if not error.code.startswith("InvalidInstanceID"):
                raise
            unknown = left.intersection(_ID.findall(error.message))
            if not unknown:
                raise
            left -= unknown


async def keys_on_console(calls: Calls, id: str) -> Sequence[str]:
    """Return the host keys that an instance's console shows; none yet, or ever."""
    try:
        answer = await calls("GetConsoleOutput", InstanceId=id)
    except InvalidRequestError as error:
        if not error.code.startswith("InvalidInstanceID"):
            raise
        return ()
    return host_keys_in(answer.get("Output", ""))
