"""Closing what a process has inherited."""

from __future__ import annotations

import os
from collections.abc import Collection


def close_all_but(keep: Collection[int]) -> None:
    """Close every descriptor of this process except some."""
    low = 0
    for high in (*sorted(keep), os.sysconf("SC_OPEN_MAX")):
        if low < high:  # an empty range at 0 would be taken for all there are
            os.closerange(low, high)
        low = high + 1
