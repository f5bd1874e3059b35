"""The shell scripts beside this module, which run inside containers."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def script(name: str) -> str:
    """Return a script's text; the first time it reads a small file."""
    assert __package__
    return files(__package__).joinpath(f"{name}.sh").read_text()
