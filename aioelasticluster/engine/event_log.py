"""The events of one handle: a list that grows, readers that are cursors on it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from aioelasticluster._log import log
from aioelasticluster.model import events as e
from aioelasticluster.model.states import NodeState


class EventLog:
    """Keeps all events; several readers, none lost, none holds the engine up."""

    def __init__(self) -> None:
        self._events: list[e.Event] = []
        self._under_way = 0
        self._waiting: set[asyncio.Event] = set()

    def emit(self, event: e.Event) -> None:
        """Add an event, log it, and wake the readers."""
        self._events.append(event)
        if isinstance(event, e.OperationStarted):
            self._under_way += 1
        elif isinstance(event, e.OperationEnded):
            self._under_way -= 1
        _log(event)
        for reader in self._waiting:
            reader.set()

    def read(self, since: int | None, follow: bool) -> AsyncIterator[e.Event]:
        """Return a reader that starts at the present, or at the event number since.

        It ends when what is under way ends, or else the next operation; with nothing
        under way and events to show, it shows them and ends. With follow it goes on
        until it is closed.
        """
        start = len(self._events) if since is None else since
        history = not self._under_way and start < len(self._events)
        present = len(self._events)
        return self._read(start, follow, present, present if history else None)

    async def _read(
        self, index: int, follow: bool, present: int, end: int | None
    ) -> AsyncIterator[e.Event]:
        news = asyncio.Event()
        self._waiting.add(news)
        try:
            while follow or end is None or index < end:
                while index < len(self._events):
                    event, index = self._events[index], index + 1
                    yield event
                    if index == end and not follow:
                        return
                    last = isinstance(event, e.OperationEnded) and index > present
                    if last and not follow and not self._under_way:
                        return
                news.clear()
                await news.wait()
        finally:
            self._waiting.discard(news)


def _log(event: e.Event) -> None:
    """Write an event to the library's logger, at the level that it deserves."""
    match event:
        case e.OperationStarted():
            log.info("%s: %s begins", event.cluster, event.operation)
        case e.OperationEnded(error=""):
            log.info(
                "%s: %s ended after %.1f s",
                event.cluster,
                event.operation,
                event.seconds,
            )
        case e.OperationEnded():
            log.error(
                "%s: %s failed after %.1f s: %s",
                event.cluster,
                event.operation,
                event.seconds,
                event.error,
            )
        case e.NodeMoved():
            level = logging.WARNING if event.after is NodeState.FAILED else logging.INFO
            log.log(
                level,
                "%s: node %s is %s%s",
                event.cluster,
                event.node,
                event.after,
                f" ({event.reason or event.address})"
                if event.reason or event.address
                else "",
            )
        case e.OrderSent():
            log.info(
                "%s: launching %d nodes, token %s",
                event.cluster,
                len(event.nodes),
                event.token,
            )
        case e.OrderAnswered(refused=()):
            log.debug("%s: order %s is complete", event.cluster, event.token)
        case e.OrderAnswered():
            log.warning(
                "%s: the cloud left out %s: %s",
                event.cluster,
                ", ".join(event.refused),
                event.reason,
            )
        case e.RequestRetried():
            log.warning(
                "%s: %s is repeated in %.1f s: %s",
                event.cluster,
                event.request,
                event.pause,
                event.reason,
            )
        case e.HostKeyRotated():
            log.info(
                "%s: node %s has a host key of its own, %s",
                event.cluster,
                event.node,
                event.fingerprint,
            )
        case e.HostKeyKept():
            log.warning(
                "%s: node %s keeps its batch's host key: %s",
                event.cluster,
                event.node,
                event.reason,
            )
        case e.SetupTaskStarted():
            log.info("%s: set-up task %s", event.cluster, event.task)
        case e.SetupTaskDone(status="failed" | "unreachable"):
            log.warning(
                "%s: %s on %s: %s: %s",
                event.cluster,
                event.task,
                event.node,
                event.status,
                event.message,
            )
        case e.SetupTaskDone():
            log.debug(
                "%s: %s on %s: %s",
                event.cluster,
                event.task,
                event.node,
                event.status,
            )
