"""The instances of one local cloud: launched, listed, paused and ended."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from aioelasticluster.providers.local.layout import StateFolder
from aioelasticluster.providers.local.server import undertaker
from aioelasticluster.providers.local.server.forking import fork
from aioelasticluster.providers.local.server.launching import Launching
from aioelasticluster.providers.local.server.locks import held, server_of
from aioelasticluster.providers.local.server.processes import belonging_to, send, stop
from aioelasticluster.providers.local.server.records import (
    InstanceRecord,
    OrderRecord,
    orders_in,
)
from aioelasticluster.providers.local.server.refusals import RefusedError


class Fleet:
    """All that lives in one state folder; its records are on disk at every moment."""

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder
        self._instances: dict[str, InstanceRecord] = {}
        self._orders = {order.token: order for order in orders_in(folder)}
        self._ended_tokens: set[str] = set()
        self._up: set[str] = set()
        self._burials: dict[int, tuple[str, ...]] = {}
        self._load()

    def _load(self) -> None:
        """Take over what an earlier parent left; end what it left half made."""
        for folder in (self._folder.instances, self._folder.orders):
            folder.mkdir(mode=0o700, exist_ok=True)
        unfinished = []
        for path in self._folder.instances.iterdir():
            try:
                record = InstanceRecord.load(self._folder.instance(path.name))
            except ValueError:
                traceback.print_exc()  # not ours to end: perhaps it is in use
                continue
            if record is None:
                unfinished.append(path.name)
            else:
                self._instances[record.id] = record
                if record.terminating:
                    unfinished.append(record.id)
        if unfinished:
            self._bury(unfinished)

    @property
    def empty(self) -> bool:
        """Whether nothing lives here and nothing is being ended."""
        return not self._instances and not self._burials

    # -- launching

    def launch(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Launch an order, or what is missing of it; a repeat launches nothing new."""
        token = request["token"]
        if token in self._ended_tokens:
            raise RefusedError(
                "invalid", f"token {token} belongs to an order that was terminated"
            )
        order = self._orders.get(token)
        if order is None:
            order = self._accept(request)
        elif order.digest != request["digest"]:
            raise RefusedError(
                "invalid", f"token {token} was used for another request before"
            )
        if not order.made:
            self._make(order, request)
        listed = [item for item in self._instances.values() if item.token == token]
        return self._answer(listed) | {"refused": order.refused}

    def _accept(self, request: Mapping[str, Any]) -> OrderRecord:
        """Decide how much of an order fits, and write the decision down."""
        wanted, capacity = len(request["names"]), request["capacity"]
        room = wanted
        if capacity is not None:
            room = max(0, min(wanted, capacity - self._living()))
        refused = ""
        if room < wanted:
            refused = f"room for {room} of {wanted} instances: {capacity} fit in all"
        if room == 0:
            raise RefusedError("capacity", refused)
        order = OrderRecord(
            token=request["token"],
            digest=request["digest"],
            granted=room,
            refused=refused,
        )
        return order

    def _make(self, order: OrderRecord, request: Mapping[str, Any]) -> None:
        """Make the instances of an order that are not there yet."""
        launching = Launching(self._folder, request)
        self._orders[order.token] = order
        order.save(self._folder)
        there = {
            item.index for item in self._instances.values() if item.token == order.token
        }
        for index in range(order.granted):
            if index in there or index in order.ended:
                continue
            taken = {item.address for item in self._instances.values()}
            try:
                record = launching.start(index, taken)
            except OSError as fault:
                self._stop_making(order, index, fault)
                break
            self._instances[record.id] = record
        order.made = True
        order.save(self._folder)

    def _stop_making(self, order: OrderRecord, made: int, fault: OSError) -> None:
        """Keep what was made; raise if that is nothing."""
        order.granted = made
        order.refused = f"the machine refused another process: {fault}"
        if not any(item.token == order.token for item in self._instances.values()):
            del self._orders[order.token]
            order.delete(self._folder)
            raise RefusedError("transient", order.refused) from fault

    def _living(self) -> int:
        return sum(
            1
            for item in self._instances.values()
            if not item.terminating and not item.fault
        )

    # -- listing

    def find(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the instances of a token or a cluster, or all of them."""
        token, cluster = request.get("token"), request.get("cluster")
        now = time.time()
        return self._answer(
            item
            for item in self._instances.values()
            if item.hidden_until <= now
            and (token is None or item.token == token)
            and (cluster is None or item.tags.get("aioec-cluster-id") == cluster)
        )

    def _answer(self, items: Iterable[InstanceRecord]) -> dict[str, Any]:
        """Describe instances; tags, which a batch shares, are sent once."""
        tags: list[dict[str, str]] = []
        places: dict[tuple[tuple[str, str], ...], int] = {}
        instances = []
        for item in items:
            key = tuple(item.tags.items())
            if key not in places:
                places[key] = len(tags)
                tags.append(item.tags)
            state, fault = self._state(item)
            instances.append(
                {
                    "id": item.id,
                    "state": state,
                    "index": item.index,
                    "address": item.address,
                    "port": item.port,
                    "zone": item.zone,
                    "fault": fault,
                    "tags": places[key],
                }
            )
        return {"instances": instances, "tags": tags}

    def _state(self, item: InstanceRecord) -> tuple[str, str]:
        folder = self._folder.instance(item.id)
        if item.terminating:
            return "terminating", item.fault
        if item.fault:
            return "failed", item.fault
        if not held(folder.process):
            return "failed", _last_words(folder.errors)
        if item.paused:
            return "paused", ""
        if item.id not in self._up and folder.up.exists():
            self._up.add(item.id)
        return ("running" if item.id in self._up else "pending"), ""

    # -- changing

    def terminate(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Begin to end instances; unknown ids are passed over."""
        ids = [name for name in request["ids"] if name in self._instances]
        fresh = [name for name in ids if not self._instances[name].terminating]
        for name in fresh:
            item = self._instances[name]
            item.terminating, item.fault = True, ""
            item.save(self._folder.instance(name))
        if fresh:
            self._bury(fresh)
        return {}

    def pause(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Stop all processes of instances; those that started others come first."""
        self._set_paused(request["ids"], paused=True)
        return {}

    def resume(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Let all processes of instances go on; those that started others come last."""
        self._set_paused(request["ids"], paused=False)
        return {}

    def _set_paused(self, ids: Collection[str], *, paused: bool) -> None:
        items = self._existing(ids)
        servers = {item.id: server_of(self._folder.instance(item.id)) for item in items}
        for item in items:
            if not item.terminating and not item.fault:
                item.paused = paused
                item.save(self._folder.instance(item.id))
        done: set[int] = set()
        while True:
            groups = belonging_to(servers)
            pids = [pid for group in groups.values() for pid in group]
            fresh = [pid for pid in pids if pid not in done]
            if not fresh:
                return
            stop(fresh) if paused else send(fresh[::-1], signal.SIGCONT)
            done.update(fresh)

    def retag(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Write tags over those of instances."""
        for item in self._existing(request["ids"]):
            item.tags = item.tags | request["tags"]
            item.save(self._folder.instance(item.id))
        return {}

    def _existing(self, ids: Collection[str]) -> list[InstanceRecord]:
        """Return the instances of these ids; those that are gone are passed over."""
        return [self._instances[name] for name in ids if name in self._instances]

    # -- ending

    def _bury(self, ids: Collection[str]) -> None:
        """End instances in a process of its own: folders may be large."""
        folders = {name: self._folder.instance(name) for name in ids}
        self._burials[fork(lambda: undertaker.bury(folders))] = tuple(ids)

    def child_ended(self, pid: int) -> None:
        """Hear that a forked process has ended; forget whom it has buried."""
        for name in self._burials.pop(pid, ()):
            item = self._instances.get(name)
            if item is None:
                continue
            if self._folder.instance(name).path.exists():
                item.terminating = False
                item.fault = "could not be ended: a process or file of it is left"
                item.save(self._folder.instance(name))
            else:
                self._forget(item)

    def _forget(self, item: InstanceRecord) -> None:
        del self._instances[item.id]
        self._up.discard(item.id)
        order = self._orders.get(item.token)
        if order is None:
            return
        order.ended.append(item.index)
        if any(other.token == item.token for other in self._instances.values()):
            order.save(self._folder)
        else:
            del self._orders[item.token]
            self._ended_tokens.add(item.token)
            order.delete(self._folder)


def _last_words(errors: Path) -> str:
    """Say that a server has ended, with the last line that it wrote."""
    try:
        lines = errors.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return ": ".join(["its server process has ended", *lines[-1:]])
