"""The shell scripts beside this module, which run inside containers.

They are read when this is imported, which happens in a thread, never on the loop.
"""

from __future__ import annotations

from importlib.resources import files


def _read(name: str) -> str:
    assert __package__
    return files(__package__).joinpath(name).read_text()


#: The first program of every container.
INIT = _read("init.sh")

#: What a node does at its first boot, before its SSH server.
BOOT = _read("boot.sh")

#: What makes a plain Debian into a node's image.
FINISH = _read("finish.sh")
