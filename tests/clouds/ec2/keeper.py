"""Keeps the real hosts as the cloud says: one for each running instance."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from tests.clouds.ec2.host_keys import Booting, boot_plan, host_key

#: The port of all hosts: EC2 has no way to tell another one.
SSH_PORT = 22

#: How many processes serve the hosts.
PROCESSES = 2

#: How long (seconds) a process may take to end by itself.
_PATIENCE = 5.0

#: How much later (seconds) than a state begins it is looked at.
_AFTER = 0.001

#: The longest answer (bytes) of a process.
_LONGEST = 16 * 1024 * 1024

_ROOT = Path(__file__).parents[3]


class Beginning(Protocol):
    """A state from a moment on."""

    @property
    def at(self) -> float:
        """When the state begins."""


class Hosted(Booting, Protocol):
    """An instance of any cloud, as far as its host goes."""

    id: str
    serial: int

    @property
    def host_name(self) -> str:
        """The name that it gives itself."""

    @property
    def login_keys(self) -> tuple[str, ...]:
        """The public keys that the cloud lets log in."""

    def addresses(self) -> list[str]:
        """Return where its SSH server listens while it runs."""

    def runs(self, now: float) -> bool:
        """Tell whether it runs."""

    def ended(self, now: float) -> bool:
        """Tell whether it is gone for good."""

    def coming(self, now: float) -> Sequence[Beginning]:
        """Return what still lies ahead."""


class Keeper(Protocol):
    """Who has to hear of instances."""

    def changed(self, instance: Hosted) -> None:
        """Hear that an instance's plan or its addresses are others now."""

    async def cpu(self) -> list[dict[str, float]]:
        """Return the seconds of processor time of each process."""

    async def emptied(self) -> None:
        """Forget all instances, and end their hosts."""

    async def end(self) -> None:
        """End all processes."""


class NoHosts:
    """Instances are nowhere to be reached."""

    def changed(self, instance: Hosted) -> None:
        """Do nothing."""

    async def cpu(self) -> list[dict[str, float]]:
        """Return nothing: there are no processes."""
        return []

    async def emptied(self) -> None:
        """Do nothing."""

    async def end(self) -> None:
        """Do nothing."""


class HostProcess:
    """A process with hosts: takes messages one after another."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    @classmethod
    async def started(cls, folder: Path) -> HostProcess:
        """Start a process."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.clouds.ec2.hosts", str(folder)),
            cwd=_ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST,
        )
        return cls(process)

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a message and return the answer."""
        assert self._process.stdin
        assert self._process.stdout
        async with self._turn:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            await self._process.stdin.drain()
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("a process with hosts has died")
        answer: dict[str, Any] = json.loads(line)
        for host, fault in answer["faults"].items():
            sys.stderr.write(f"no SSH server for {host}: {fault}\n")
        return answer

    async def end(self) -> None:
        """Close its input, and wait for its end."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


class HostKeeper:
    """Opens a host when its instance runs, closes it when it does so no more."""

    def __init__(
        self, processes: list[HostProcess], clock: Callable[[], float]
    ) -> None:
        self._processes, self._clock = processes, clock
        self._timers: dict[str, list[asyncio.TimerHandle]] = {}
        self._open: dict[str, tuple[str, ...]] = {}
        self._looked_at: dict[str, Hosted] = {}
        self._sending: set[asyncio.Task[Any]] = set()

    def changed(self, instance: Hosted) -> None:
        """Look at an instance now, and whenever its state changes."""
        for timer in self._timers.pop(instance.id, ()):
            timer.cancel()
        self._look(instance)
        loop, now = asyncio.get_running_loop(), self._clock()
        self._timers[instance.id] = [
            loop.call_later(phase.at - now + _AFTER, self._look, instance)
            for phase in instance.coming(now)
        ]

    def _look(self, instance: Hosted) -> None:
        """Note an instance; all that are noted at a time are acted on together."""
        if not self._looked_at:
            asyncio.get_running_loop().call_soon(self._act)
        self._looked_at[instance.id] = instance

    def _act(self) -> None:
        looked_at, self._looked_at = self._looked_at, {}
        messages: list[dict[str, Any]] = [
            {"open": [], "close": [], "wipe": []} for _ in self._processes
        ]
        for one in looked_at.values():
            self._decide(one, messages[one.serial % len(messages)])
        for process, message in zip(self._processes, messages, strict=True):
            if any(message.values()):
                self._send(process, message)

    def _decide(self, one: Hosted, message: dict[str, Any]) -> None:
        """Write into a message what has to become of an instance's host."""
        now = self._clock()
        wanted = tuple(one.addresses()) if one.runs(now) else ()
        if wanted and wanted != self._open.get(one.id):
            self._open[one.id] = wanted
            message["open"].append(_order(one, wanted))
        elif not wanted and self._open.pop(one.id, ()):
            message["close"].append(one.id)
        if one.ended(now):
            message["wipe"].append(one.id)
            self._timers.pop(one.id, None)

    def _send(self, process: HostProcess, message: dict[str, Any]) -> None:
        task = asyncio.create_task(process.ask(message))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def cpu(self) -> list[dict[str, float]]:
        """Return the seconds of processor time of each process."""
        return [(await process.ask({}))["cpu"] for process in self._processes]

    async def emptied(self) -> None:
        """Forget all instances, and wait until their hosts are gone."""
        gone = list(self._timers.keys() | self._open.keys())
        await self._rested()
        for process in self._processes:
            await process.ask({"close": gone, "wipe": gone})

    async def _rested(self) -> None:
        """Forget all instances; wait until nothing is under way any more."""
        for timers in self._timers.values():
            for timer in timers:
                timer.cancel()
        self._timers, self._open, self._looked_at = {}, {}, {}
        await asyncio.gather(*self._sending)

    async def end(self) -> None:
        """End all processes, and the hosts with them."""
        await self._rested()
        await asyncio.gather(*(process.end() for process in self._processes))


def _order(one: Hosted, addresses: Iterable[str]) -> dict[str, Any]:
    """Return what a host has to be, as the process of hosts takes it."""
    injected = boot_plan(one.user_data).authorized_keys
    return {
        "id": one.id,
        "name": one.host_name,
        "addresses": list(addresses),
        "port": SSH_PORT,
        "host_key": host_key(one),
        "authorized_keys": [*one.login_keys, *filter(None, injected)],
    }
