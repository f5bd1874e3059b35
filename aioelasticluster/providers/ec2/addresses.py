"""Elastic addresses: one for each instance that asks, kept by the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aioelasticluster.model.tags import PREFIX, SCHEMA, Tags
from aioelasticluster.providers.ec2.calls import Calls
from aioelasticluster.providers.ec2.listing import Ec2Instance, wanted
from aioelasticluster.providers.ec2.naming import CLUSTER_ID, SCHEMA_TAG, tag_list


async def with_elastic_address(calls: Calls, instance: Ec2Instance) -> Ec2Instance:
    """Return an instance after it has an elastic address; repeating it is safe.

    One that a node of the cluster has left is used first. Not to be called for two
    instances at a time: both might be given the same one. Raises `ProviderError`.
    """
    assert instance.tags is not None
    answer = await calls(
        "DescribeAddresses",
        Filters=[wanted(f"tag:{CLUSTER_ID}", instance.tags.cluster_id)],
    )
    listed = answer.get("Addresses", ())
    address = next((a for a in listed if a.get("InstanceId") == instance.id), None)
    if address is None:
        free = (a for a in listed if not a.get("AssociationId"))
        address = next(free, None) or await _allocate(calls, instance.tags)
        await calls(
            "AssociateAddress",
            AllocationId=address["AllocationId"],
            InstanceId=instance.id,
            AllowReassociation=False,
        )
    private = instance.addresses[-1:]
    return replace(instance, addresses=(address["PublicIp"], *private))


async def _allocate(calls: Calls, tags: Tags) -> Mapping[str, Any]:
    told = {
        SCHEMA_TAG: SCHEMA,
        CLUSTER_ID: tags.cluster_id,
        f"{PREFIX}cluster": tags.cluster,
    }
    return await calls(
        "AllocateAddress",
        Domain="vpc",
        TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": tag_list(told)}],
    )
