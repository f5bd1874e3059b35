"""What is done to one server that exists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import anyio

from aioelasticluster._aio.polling import backoff
from aioelasticluster.errors import InvalidRequestError, TransientError
from aioelasticluster.providers.base import InstanceState
from aioelasticluster.providers.openstack.listing import servers_of

if TYPE_CHECKING:
    from aioelasticluster.providers.openstack.connection import Calls

#: How often Nova may refuse to write to a server since it is busy: being built, say.
REFUSALS = 8


async def act(calls: Calls, id: str, *, verb: str, reached: InstanceState) -> None:
    """Have Nova act on a server; that it is there already, or gone, is success."""
    try:
        await calls.once("compute", "POST", f"/servers/{id}/action", json={verb: None})
    except InvalidRequestError as error:
        if error.code != "404":
            raise
    except TransientError as error:
        if error.code != "409" or not await _is_in(calls, id, reached):
            raise


async def _is_in(calls: Calls, id: str, reached: InstanceState) -> bool:
    answer = await calls.get("compute", f"/servers/{id}")
    on_the_way = {
        InstanceState.PAUSED: InstanceState.PAUSING,
        InstanceState.RUNNING: InstanceState.PENDING,
    }
    return any(
        server.state in (reached, on_the_way[reached])
        for server in servers_of([answer["server"]])
    )


async def write_metadata(calls: Calls, id: str, *, told: Mapping[str, str]) -> None:
    """Add to what a server says of itself, as soon as it is built.

    Raises `ProviderError`; `TransientError` if it stays busy.
    """
    path, pauses = f"/servers/{id}/metadata", backoff(0.5, 3.0)
    for left in reversed(range(REFUSALS)):
        try:
            await calls.send("compute", "POST", path, json={"metadata": dict(told)})
            return
        except TransientError as error:
            if error.code != "409" or not left:
                raise
        await anyio.sleep(next(pauses))
