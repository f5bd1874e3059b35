"""Settings of this machine's kernel that engines need, for as long as one runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: Containers reach the outside through this machine.
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")

#: Each systemd takes some of them, and Linux gives a user no more than 128.
WATCHES = Path("/proc/sys/fs/inotify/max_user_instances")


@contextmanager
def at_least(setting: Path, value: int, others: Callable[[], bool]) -> Iterator[None]:
    """Have a setting for the block; put it back, unless there are `others` then."""
    before = int(setting.read_text())
    if before < value:
        setting.write_text(str(value))
    try:
        yield
    finally:
        if before < value and not others():
            setting.write_text(str(before))
