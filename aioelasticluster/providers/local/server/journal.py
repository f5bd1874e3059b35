"""An instance's log: one JSON object a line, each with the wall-clock time."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path


class Journal:
    """Appends to a log file; a line is written in one step."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )

    def write(self, event: str, **facts: object) -> None:
        """Say what happened now; `at` is in seconds since the epoch."""
        line = json.dumps({"at": time.time(), "event": event, **facts})
        os.write(self._descriptor, line.encode() + b"\n")
