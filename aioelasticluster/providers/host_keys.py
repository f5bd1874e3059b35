"""Host keys as cloud-init prints them on an instance's console."""

from __future__ import annotations

import re

_BLOCK = re.compile(
    r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.DOTALL
)
_KEY = re.compile(r"((?:ssh|ecdsa)-[a-z0-9-]+) ([A-Za-z0-9+/]{40,}=*)")


def host_keys_in(console: str) -> tuple[str, ...]:
    """Return the public keys (OpenSSH text) of the latest boot, none if not shown."""
    blocks = _BLOCK.findall(console)
    if not blocks:
        return ()
    return tuple(f"{kind} {key}" for kind, key in _KEY.findall(blocks[-1]))
