"""Deleting, pausing and resuming instances: asked for, and seen through."""

from __future__ import annotations

import math
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from aioelasticluster._aio.tasks import each
from aioelasticluster.errors import (
    CapacityError,
    InvalidRequestError,
    ProviderError,
    TransientError,
)
from aioelasticluster.providers.google.faults import MISSING, NOT_READY, of_operation
from aioelasticluster.providers.google.naming import path_of, request_id

if TYPE_CHECKING:
    from aioelasticluster.providers.google.calls import Calls

#: Operations that are waited for at a time: each wait keeps a connection.
FOLLOWED = 16

#: Paused instances: stopped ones have two words.
_PAUSED = frozenset({"STOPPED", "SUSPENDED", "TERMINATED"})

#: How long (seconds) pausing and resuming are followed for the sake of their errors;
#: whoever asked for them sees how it goes on.
PATIENCE = 60.0


async def for_all(
    ids: Collection[str],
    work: Callable[[str], Awaitable[None]],
    *,
    limiter: anyio.CapacityLimiter,
    patience: float = math.inf,
) -> None:
    """Try the same with every instance, some at a time; then raise what went wrong.

    Of several errors it is one that no repetition mends. Ids that cannot be ours are
    left out, and what takes longer than `patience` (seconds) is left alone.
    """
    errors: list[ProviderError] = []

    async def tried(id: str) -> None:
        try:
            await work(id)
        except ProviderError as error:
            errors.append(error)

    with anyio.move_on_after(patience):
        await each([id for id in ids if "/" in id], tried, limiter)
    if errors:
        raise min(errors, key=lambda error: error.retryable)


async def delete(calls: Calls, id: str) -> None:
    """Have an instance deleted, with its disks; that there is none is success.

    Asked once more in the same session, Google tells what became of the first time:
    a deletion that failed is begun anew, or raises why it cannot be done.
    """
    from aioelasticluster.providers.google.calls import missing_is_none

    async def asked() -> Mapping[str, Any]:
        attempt = (calls.session_id, id, str(calls.undeleted[id]))
        operation = await calls.once(
            "DELETE", path_of(id), requestId=request_id("delete", *attempt)
        )
        if (fault := of_operation(operation)) is not None:
            calls.undeleted[id] += 1
            raise fault
        return operation

    await calls.repeat(lambda: missing_is_none(asked()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What instances are to do: `verb`, unless they are in a state of `done`.

    `verbs` are those of instances in other states than `verb` is for.
    """

    verb: str
    done: frozenset[str]
    verbs: Mapping[str, str] = field(default_factory=dict)


def pausing(*, suspend: bool) -> Turn:
    """Return how to pause: to stop, or to keep the memory, too."""
    return Turn(
        verb="suspend" if suspend else "stop",
        done=_PAUSED | {"PENDING_STOP", "STOPPING", "SUSPENDING"},
    )


def resuming(*, suspend: bool) -> Turn:
    """Return how to resume, whichever way an instance was paused."""
    return Turn(
        verb="resume" if suspend else "start",
        done=frozenset({"PROVISIONING", "RUNNING", "STAGING"}),
        verbs={"STOPPED": "start", "SUSPENDED": "resume", "TERMINATED": "start"},
    )


async def turn(
    calls: Calls, ids: Sequence[str], how: Turn, *, limiter: anyio.CapacityLimiter
) -> None:
    """Pause or resume instances; raises what Google says to any of them.

    It says so at once, or when it has tried (no room for a stopped one, say): that is
    waited for, within limits.
    """
    from aioelasticluster.providers.google.calls import missing_is_none, succeeded

    begun: dict[str, Mapping[str, Any]] = {}

    async def begin(id: str) -> None:
        if (operation := await _begun(calls, id, how)) is not None:
            begun[id] = operation

    async def follow(id: str) -> None:
        try:
            await missing_is_none(succeeded(calls, begun[id]))
        except CapacityError as error:
            error.zone = id.partition("/")[0]
            raise

    await for_all(ids, begin, limiter=limiter)
    few = anyio.CapacityLimiter(FOLLOWED)
    await for_all(begun, follow, limiter=few, patience=PATIENCE)


async def _begun(calls: Calls, id: str, how: Turn) -> Mapping[str, Any] | None:
    """Return the operation that turns an instance, None if there is nothing to do."""
    from aioelasticluster.providers.google.calls import missing_is_none

    ids: dict[str, str] = {}

    async def ask(verb: str) -> Mapping[str, Any]:
        same = ids.setdefault(verb, str(uuid.uuid4()))
        return await calls.once("POST", f"{path_of(id)}/{verb}", requestId=same)

    async def step() -> Mapping[str, Any] | None:
        try:
            return await ask(how.verb)
        except (InvalidRequestError, TransientError) as refusal:
            later = refusal.retryable and refusal.code not in NOT_READY
            if later or refusal.code in MISSING:
                raise
            status = (await calls.get(path_of(id), fields="status"))["status"]
            if status in how.done:
                return None
            verb = how.verbs.get(status, how.verb)
            if verb == how.verb:
                raise
            return await ask(verb)

    return await calls.repeat(lambda: missing_is_none(step()))
