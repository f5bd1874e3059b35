"""What came of an order: as many as Google says it made, by the names that we gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import anyio

from aioelasticluster.errors import CapacityError, ProviderError, UnknownOutcomeError
from aioelasticluster.providers.base import (
    Instance,
    InstanceState,
    Launched,
    LaunchOrder,
)
from aioelasticluster.providers.google.faults import codes_of, of_operation
from aioelasticluster.providers.google.listing import listed
from aioelasticluster.providers.google.naming import (
    TOKEN_LABEL,
    instance_id,
    instance_name,
    last_part,
)
from aioelasticluster.providers.options import placed

if TYPE_CHECKING:
    from aioelasticluster.providers.google.calls import Calls

#: Pause (seconds) between two lists, while one leaves out what Google says it made.
PAUSE = 1.0


async def outcome(
    calls: Calls, operation: Mapping[str, Any], order: LaunchOrder, patience: float
) -> Launched:
    """Return what an operation that is done made of an order.

    Lists may be late, for at most `patience` (seconds): what they leave out is not
    taken for refused. Raises the refusal if nothing was made, `UnknownOutcomeError` if
    that cannot be told.
    """
    refused = of_operation(operation)
    if isinstance(refused, CapacityError):
        refused = placed(refused, order)
    there_before = "RESOURCE_ALREADY_EXISTS" in codes_of(operation)
    made = _made_by_zone(operation)
    if made is not None and not there_before:
        if sum(made.values()) == len(order.names) and len(made) == 1:
            (zone,) = made
            return Launched(instances=_all_in(zone, order))
        if refused is not None and not made:
            if refused.retryable:  # by another order: this one's request is answered
                return Launched(instances=(), refused=refused)
            raise refused
    least = sum((made or {}).values())
    if made is None and refused is None:
        least = len(order.names)
    found = await _listed(calls, order, least, patience)
    if not found and there_before:
        raise UnknownOutcomeError("the instances exist, but are not listed")
    if not found and refused is not None:
        raise refused
    return Launched(instances=found, refused=refused)


def _made_by_zone(operation: Mapping[str, Any]) -> Mapping[str, int] | None:
    """Return how many instances there are in each zone, None if that is not told."""
    told = operation.get("instancesBulkInsertOperationMetadata", {})
    if "perLocationStatus" not in told:
        return None
    counts = {
        last_part(place): int(count.get("createdVmCount", 0))
        - int(count.get("deletedVmCount", 0))
        for place, count in told["perLocationStatus"].items()
    }
    return {zone: count for zone, count in counts.items() if count > 0}


def _all_in(zone: str, order: LaunchOrder) -> tuple[Instance, ...]:
    """Return an order's instances where nothing is known of them but that they are."""
    return tuple(
        Instance(
            id=instance_id(zone, instance_name(name, order.token)),
            state=InstanceState.PENDING,
            index=index,
            ssh_port=order.tags.ssh_port,
            zone=zone,
            tags=order.tags,
        )
        for index, name in enumerate(order.names)
    )


async def _listed(
    calls: Calls, order: LaunchOrder, least: int, patience: float
) -> tuple[Instance, ...]:
    """List an order's instances until there are enough.

    Raises `UnknownOutcomeError` if there are not in time.
    """
    deadline = anyio.current_time() + patience
    while True:
        try:
            found = await listed(calls, **{TOKEN_LABEL: order.token})
        except ProviderError as error:  # the order was carried out, whatever comes
            raise UnknownOutcomeError(str(error)) from error
        if len(found) >= least:
            return tuple(found)
        if anyio.current_time() > deadline:
            raise UnknownOutcomeError(f"{least} instances made, {len(found)} listed")
        await anyio.sleep(min(PAUSE, patience / 4))
