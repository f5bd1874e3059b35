"""A place for one engine: a folder that is kept, and addresses that nobody else has."""

from __future__ import annotations

import fcntl
import ipaddress
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.required import kept

#: How many engines can run at the same time, of all sessions on this machine.
_SLOTS = 40


@dataclass(frozen=True, slots=True)
class Slot:
    """One engine's place; `folder` keeps its images from run to run."""

    number: int
    folder: Path

    @property
    def network(self) -> str:
        """All addresses of the engine and its containers."""
        return f"10.{200 + self.number}.0.0/16"

    @property
    def pool(self) -> str:
        """Where the engine takes the addresses of its networks from."""
        return f"10.{200 + self.number}.64.0/18"

    @property
    def outside(self) -> str:
        """This machine's end of the line to the engine."""
        return f"10.{200 + self.number}.0.1"

    @property
    def inside(self) -> str:
        """The engine's end of it."""
        return f"10.{200 + self.number}.0.2"

    @property
    def link(self) -> str:
        """What this machine's end of the line is called."""
        return f"aioec-test{self.number}"


@contextmanager
def free_slot(engine: str) -> Iterator[Slot]:
    """Take a slot for the block; raises RuntimeError if there is none."""
    folder = kept() / "hosts" / engine
    folder.mkdir(parents=True, exist_ok=True)
    taken = _networks()
    for number in _numbers(engine):
        slot = Slot(number, folder / f"slot-{number}")
        # One slot's addresses are one engine's, whichever kind it is.
        with (kept() / "hosts" / f"slot-{number}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if any(one.overlaps(ipaddress.ip_network(slot.network)) for one in taken):
                continue
            slot.folder.mkdir(exist_ok=True)
            yield slot
            return
    raise RuntimeError(f"no slot is free in {folder}")


def _numbers(engine: str) -> list[int]:
    """Return the slots to try, each engine's own order, so that images are found."""
    first = list(range(_SLOTS))
    return first if engine == "docker" else first[::-1]


def _networks() -> list[ipaddress.IPv4Network]:
    """Return the networks that this machine has a way to."""
    shown = subprocess.run(["ip", "-json", "route"], capture_output=True, check=True)
    targets = {route["dst"] for route in json.loads(shown.stdout)} - {"default"}
    return [ipaddress.ip_network(target, strict=False) for target in targets]  # type: ignore[misc]
