"""Starts the parent of a state folder: detaches, and reports when it answers.

Exit status 0: a parent serves the folder (this one, or another that was there
before). Otherwise standard error says why there is none.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from io import FileIO
from pathlib import Path

from aioelasticluster.providers.local.layout import StateFolder
from aioelasticluster.providers.local.server.descriptors import close_all_but
from aioelasticluster.providers.local.server.locks import try_lock

#: How long (seconds) another parent may take to leave or to begin to answer.
_PATIENCE = 20.0

_READY = b"ready"


def main(folder: StateFolder) -> int:
    """Make the parent, wait until it answers, and leave it to itself."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        _detached(folder, writer)
    os.close(writer)
    with open(reader, "rb") as file:
        words = file.read()
    if words == _READY:
        return 0
    sys.stderr.write(words.decode(errors="replace") or "it ended without a word\n")
    return 1


def _detached(folder: StateFolder, writer: int) -> None:
    """Be the parent to the end, tied to nothing of whoever started us."""
    code = 1
    report = os.fdopen(writer, "wb", buffering=0)
    try:
        os.setsid()
        os.umask(0o077)
        os.chdir("/")
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        close_all_but({0, 1, 2, writer})
        lock = _own(folder)
        if lock is None:
            report.write(_READY)
        else:
            _serve(folder, report)
            _leave(folder)
        code = 0
    except BaseException:
        words = traceback.format_exc()
        sys.stderr.write(words)
        if not report.closed:
            report.write(words.encode())
    finally:
        os._exit(code)


def _own(folder: StateFolder) -> int | None:
    """Become the folder's parent; None if there is another that answers."""
    deadline = time.monotonic() + _PATIENCE
    while (lock := try_lock(folder.lock)) is None:
        if folder.contact.exists():
            return None
        if time.monotonic() > deadline:
            raise TimeoutError(f"another process holds {folder.lock}, but is silent")
        time.sleep(0.01)
    folder.contact.unlink(missing_ok=True)  # of a parent that was killed
    return lock


def _serve(folder: StateFolder, report: FileIO) -> None:
    log = os.open(folder.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)

    # What follows is heavy, and only the detached process needs it.
    from aioelasticluster.providers.local.server.parent import Parent

    def ready() -> None:
        report.write(_READY)
        report.close()

    Parent(folder).serve(ready)


def _leave(folder: StateFolder) -> None:
    """Leave nothing behind that is of no use without a parent."""
    folder.log.unlink(missing_ok=True)
    for path in (folder.instances, folder.orders):
        try:
            path.rmdir()
        except OSError:
            pass  # instances live on: we were told to stop
    folder.lock.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(StateFolder(Path(sys.argv[1]))))
