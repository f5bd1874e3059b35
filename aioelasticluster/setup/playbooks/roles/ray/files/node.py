"""Runs the Ray processes of this host until it is told to end, and tidies up.

Arguments: the folder of the service, then what `ray start` gets.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

#: Longest folder (characters) in which Ray can make its sockets.
LONGEST = 44

#: How long (seconds) Ray's processes may take to end.
GRACE = 8.0


def main(folder: Path, options: list[str]) -> int:
    """Return Ray's exit status; 0 if it was told to end."""
    private = make_private(folder)
    command = [str(folder / "env" / "bin" / "ray"), "start", "--block"]
    ray = subprocess.Popen([*command, f"--temp-dir={short(private / 't')}", *options])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stopped)
    try:
        return ray.wait()
    except KeyboardInterrupt:
        return end(ray)
    finally:
        shutil.rmtree(private, ignore_errors=True)


def make_private(folder: Path) -> Path:
    """Make a folder that is ours alone: in Ray's own, everybody could write."""
    private = folder / "private"
    shutil.rmtree(private, ignore_errors=True)
    private.mkdir(mode=0o700)
    return private


def short(path: Path) -> Path:
    """Return another path to it if its own is too long, as in a deep home.

    It lies where this process works, and every process of the same user may say so. A
    folder in /tmp would outlive a host whose processes are all killed.
    """
    if len(str(path)) <= LONGEST:
        return path
    os.chdir(path.parent)
    return Path(f"/proc/{os.getpid()}/cwd", path.name)


def stopped(number: int, frame: object) -> None:
    """Leave by an exception."""
    raise KeyboardInterrupt


def end(ray: subprocess.Popen[bytes]) -> int:
    """Tell Ray to end, and wait until it has."""
    ray.terminate()
    try:
        ray.wait(GRACE)
    except subprocess.TimeoutExpired:
        ray.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
