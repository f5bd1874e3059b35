"""Makes the instances of one order: what they share is read once, before the forks."""

from __future__ import annotations

import errno
import os
import random
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from io import FileIO
from typing import Any

import asyncssh

from aioelasticluster.providers.cloud_config import (
    BootPlan,
    read_user_data,
)
from aioelasticluster.providers.local.environment import Place
from aioelasticluster.providers.local.layout import InstanceFolder, StateFolder
from aioelasticluster.providers.local.server import instance
from aioelasticluster.providers.local.server.forking import fork
from aioelasticluster.providers.local.server.locks import locked
from aioelasticluster.providers.local.server.records import InstanceRecord
from aioelasticluster.providers.local.server.refusals import RefusedError

#: How many addresses are tried before an instance gets a shared one.
_TRIES = 20


class Launching:
    """One order on its way."""

    def __init__(self, folder: StateFolder, request: Mapping[str, Any]) -> None:
        self._folder, self._request = folder, request
        self._faults: Mapping[str, Any] = request["faults"]
        self._plan = _checked(read_user_data(request["user_data"]), request)
        self._hidden_until = time.time() + self._faults["list_lag"]

    def start(self, index: int, taken: Collection[str]) -> InstanceRecord:
        """Start one instance and return its record; raise `OSError` if it cannot be.

        The record is on disk before the process: a parent that is killed in between
        leaves an instance that has failed, but none that nobody knows of.
        """
        folder = self._folder.instance(f"i-{secrets.token_hex(6)}")
        folder.path.mkdir(mode=0o700)
        try:
            with bound_listener(taken) as listener, locked(folder.process) as lock:
                record = self._record(folder, index, listener)
                record.save(folder)
                if not record.fault:
                    self._run(record, folder, listener, lock)
                return record
        except OSError:
            shutil.rmtree(folder.path, ignore_errors=True)
            raise

    def _record(
        self, folder: InstanceFolder, index: int, listener: socket.socket
    ) -> InstanceRecord:
        node = self._request["names"][index]
        address, port = listener.getsockname()
        broken = node in self._faults["broken"]
        return InstanceRecord(
            id=folder.id,
            token=self._request["token"],
            index=index,
            node=node,
            tags=self._request["tags"],
            zone=self._request["zone"],
            address=address,
            port=port,
            hidden_until=self._hidden_until,
            fault="broken by the fault plan: it will never run" if broken else "",
        )

    def _run(
        self,
        record: InstanceRecord,
        folder: InstanceFolder,
        listener: socket.socket,
        lock: FileIO,
    ) -> None:
        place = Place(record.node, folder, record.address, record.port)
        start = instance.Start(
            place=place,
            plan=self._plan,
            delay=self._faults["boot_delay"].get(record.node, 0.0),
            dead=record.node in self._faults["dead"],
            wrong_host_key=record.node in self._faults["wrong_host_key"],
        )

        def work() -> None:
            _write_pid(lock, os.getpid())
            instance.run(start, listener)

        _write_pid(lock, fork(work, (listener.fileno(), lock.fileno())))


def _write_pid(lock: FileIO, pid: int) -> None:
    """Write a server's pid: it does so too, for its parent may be killed before."""
    os.pwrite(lock.fileno(), str(pid).encode(), 0)


def _checked(plan: BootPlan, request: Mapping[str, Any]) -> BootPlan:
    """Add the order's own key, and drop those that cannot be read."""
    try:
        asyncssh.import_authorized_keys(request["public_key"])
    except ValueError as fault:
        raise RefusedError(
            "invalid", f"the public key cannot be read: {fault}"
        ) from fault
    keys = [request["public_key"].strip()]
    for line in plan.authorized_keys:
        try:
            asyncssh.import_authorized_keys(line)
        except ValueError as fault:
            plan = plan.noting(f"authorized key ignored: {fault}: {line[:60]}")
        else:
            keys.append(line)
    return replace(plan, authorized_keys=tuple(keys))


def bound_listener(taken: Collection[str]) -> socket.socket:
    """Bind a port that nobody else has; it refuses connections until it listens.

    Linux has a whole network on its loopback, so each instance has an address of
    its own there; elsewhere they share one.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform == "linux":
            for address in _addresses(taken):
                try:
                    listener.bind((address, 0))
                    return listener
                except OSError as fault:
                    if fault.errno not in (errno.EADDRNOTAVAIL, errno.EADDRINUSE):
                        raise
        listener.bind(("127.0.0.1", 0))
    except OSError:
        listener.close()
        raise
    return listener


def _addresses(taken: Collection[str]) -> list[str]:
    """Return some addresses that no instance of ours has; services have 127.0.x.y."""
    drawn = (
        f"127.{random.randint(16, 250)}.{random.randint(0, 255)}."
        f"{random.randint(1, 254)}"
        for _ in range(_TRIES)
    )
    return [address for address in drawn if address not in taken]
