"""Small things that all resources of the API have: moments, ids, fingerprints."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from datetime import UTC, datetime
from typing import Any


def moment(at: float) -> str:
    """Return a time as the API writes it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def new_id() -> str:
    """Return a number for a new resource, as text."""
    return str(10**18 + secrets.randbelow(8 * 10**18))


def fingerprint(value: Any) -> str:
    """Return what changes whenever a value does."""
    text = json.dumps(value, sort_keys=True).encode()
    return base64.b64encode(hashlib.sha256(text).digest()[:8]).decode()
