"""Pausing a cluster: its instances stop, their disks and names stay."""

from __future__ import annotations

from collections.abc import Iterable

import anyio

from aioelasticluster._aio.polling import backoff
from aioelasticluster.engine.operation import Operation
from aioelasticluster.engine.start import Wish, start
from aioelasticluster.errors import (
    ConfigurationError,
    PauseTimeoutError,
    ProviderError,
    UnsupportedError,
)
from aioelasticluster.model.records import NodeRecord
from aioelasticluster.model.reports import StartReport
from aioelasticluster.model.states import UP, NodeState, Target
from aioelasticluster.providers.base import InstanceState

_AWAKE = frozenset({InstanceState.PENDING, InstanceState.RUNNING})


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


async def resume(op: Operation, *, timeout: float) -> StartReport:
    """Start paused nodes again; raises as a start does, and terminates nothing."""
    deadline = anyio.current_time() + timeout
    woken = await _wake(op, timeout)
    left = max(0.0, deadline - anyio.current_time())
    return await start(op, Wish(timeout=left, kept=lambda: True), only=woken)


async def _wake(op: Operation, timeout: float) -> tuple[str, ...]:
    """Ask the cloud to start paused nodes; return all that boot, to be brought up.

    Their addresses may be new; their host keys are the same. What is asked for longer
    than the timeout (seconds) counts as asked. Raises `ProviderError`: some may boot
    then, the others stay paused.
    """
    paused = op.journal.in_state(NodeState.PAUSED, NodeState.PAUSING)
    ids = [node.instance_id for node in paused]
    if ids:
        try:
            with anyio.move_on_after(timeout):
                await op.ask("resume", lambda: op.provider.resume(ids))
        except ProviderError:
            awake = {i.id for i in await op.find() if i.state in _AWAKE}
            await _boots(op, [node for node in paused if node.instance_id in awake])
            raise
    op.journal.put_head(target=Target.RUNNING)
    await _boots(op, paused)
    # With those that boot since an earlier resumption was cut off.
    return tuple(node.name for node in op.journal.in_state(NodeState.BOOTING))


async def _boots(op: Operation, nodes: Iterable[NodeRecord]) -> None:
    for node in nodes:
        op.journal.move(node.name, NodeState.BOOTING, addresses=())
    await op.journal.flush()
