"""Closing what a process has inherited."""

from __future__ import annotations

import os
from collections.abc import Collection


def close_all_but(keep: Collection[int]) -> None:
    """Close every descriptor of this process except some."""
    for descriptor in map(int, os.listdir("/dev/fd")):
        if descriptor not in keep:
            try:
                os.close(descriptor)
            except OSError:
                pass  # the one that listed them
