"""What the client and the parent process say to each other: lines of JSON.

Both prove first that they know the secret of `parent.json`, which only the user
can read: a port on the loopback is open to everybody on the machine.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

#: Longest line (bytes) that is accepted; user-data is the largest thing in one.
LONGEST = 16 * 1024 * 1024

#: Longest line (bytes) from somebody who has not proved anything yet.
LONGEST_UNPROVED = 4096

CLIENT, PARENT = "client", "parent"


def proof(secret: str, role: str, nonce: str) -> str:
    """Return what only a holder of the secret can answer to a nonce."""
    return hmac.new(
        secret.encode(), f"{role}:{nonce}".encode(), hashlib.sha256
    ).hexdigest()


def proves(given: object, secret: str, role: str, nonce: str) -> bool:
    """Tell whether an answer to a nonce is right."""
    return isinstance(given, str) and hmac.compare_digest(
        given.encode(), proof(secret, role, nonce).encode()
    )


def encode(message: dict[str, Any]) -> bytes:
    """Return a message as one line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """Read a line; raise `ValueError` for what is not a message."""
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("a message must be a JSON object")
    return message
