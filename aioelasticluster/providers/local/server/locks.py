"""File locks that say which process is alive: a pid alone is used again."""

from __future__ import annotations

import fcntl
import os
import time
from io import FileIO
from pathlib import Path

from aioelasticluster.providers.local.layout import InstanceFolder


def try_lock(path: Path) -> int | None:
    """Lock a file, making it if need be; None if somebody else holds it.

    The lock goes with the last copy of the returned descriptor. A file that was
    removed by its last holder meanwhile is not taken for the present one.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == os.stat(path).st_ino:
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except FileNotFoundError:
            pass
        os.close(descriptor)


def locked(path: Path) -> FileIO:
    """Lock a file that nobody else has; closing it, or its last copy, unlocks."""
    descriptor = try_lock(path)
    if descriptor is None:
        raise BlockingIOError(f"{path} is locked by somebody else")
    return FileIO(descriptor, "w")


def held(path: Path) -> bool:
    """Tell whether a live process holds the lock of a file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def server_of(folder: InstanceFolder) -> int | None:
    """Return the pid of an instance's server, None if it is dead."""
    while held(folder.process):
        try:
            return int(folder.process.read_text())
        except (OSError, ValueError):
            time.sleep(0.001)  # it has only just been forked, and will write it
    return None
