"""Pausing a cluster: its instances stop, their disks and names stay."""

from __future__ import annotations

import anyio

from aioelasticluster._aio.polling import backoff
from aioelasticluster.engine.operation import Operation
from aioelasticluster.errors import (
    ConfigurationError,
    PauseTimeoutError,
    UnsupportedError,
)
from aioelasticluster.model.states import UP, NodeState, Target
from aioelasticluster.providers.base import InstanceState


def check_pausable(op: Operation) -> None:
    """Raise `UnsupportedError` where the cloud cannot pause."""
    if not op.provider.capabilities.pause:
        raise UnsupportedError(
            f"{type(op.provider).__name__} cannot pause instances; nothing was touched"
        )


async def pause(op: Operation, *, timeout: float) -> None:
    """Pause all alive nodes; raises `PauseTimeoutError`, and may be called again."""
    if not op.journal.stored:
        raise ConfigurationError(
            "state", "planned", "the cluster was not started", "Call start() first"
        )
    op.journal.put_head(target=Target.PAUSED)
    for node in op.journal.in_state(NodeState.BOOTING, *UP):
        op.journal.move(node.name, NodeState.PAUSING)
    await op.journal.flush()
    ids = [node.instance_id for node in op.journal.in_state(NodeState.PAUSING)]
    pauses = backoff(*op.provider.end_pauses)
    with anyio.move_on_after(timeout):
        if ids:
            await op.ask("pause", lambda: op.provider.pause(ids))
        while waiting := op.journal.in_state(NodeState.PAUSING):
            states = {i.id: i.state for i in await op.find()}
            for node in waiting:
                if states.get(node.instance_id) is InstanceState.PAUSED:
                    op.journal.move(node.name, NodeState.PAUSED)
            if op.journal.in_state(NodeState.PAUSING):
                await anyio.sleep(next(pauses))
    if left := op.journal.in_state(NodeState.PAUSING):
        raise PauseTimeoutError(op.journal.head.name, tuple(n.name for n in left))


async def wake(op: Operation) -> tuple[str, ...]:
    """Ask the cloud to start paused nodes; return all that boot, to be brought up.

    Their addresses may be new; their host keys are the same.
    """
    paused = op.journal.in_state(NodeState.PAUSED, NodeState.PAUSING)
    ids = [node.instance_id for node in paused]
    if ids:
        await op.ask("resume", lambda: op.provider.resume(ids))
    op.journal.put_head(target=Target.RUNNING)
    for node in paused:
        op.journal.move(node.name, NodeState.BOOTING, addresses=())
    await op.journal.flush()
    # With those that boot since an earlier resumption was cut off.
    return tuple(node.name for node in op.journal.in_state(NodeState.BOOTING))
