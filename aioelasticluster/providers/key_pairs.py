"""The user's key pair among those that a cloud has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aioelasticluster.errors import InvalidRequestError
from aioelasticluster.providers.base import Preparation


def blob(public_key: str) -> str:
    """Return the part of OpenSSH's text that is the key itself, "" if there is none."""
    parts = public_key.split()
    return parts[1] if len(parts) > 1 else ""


def pair_of(
    preparation: Preparation,
    pairs: Mapping[str, Mapping[str, Any]],
    names: Iterable[str],
    holds: Callable[[Mapping[str, Any]], bool],
    *,
    whose: str,
    fingerprint: str,
) -> str:
    """Return the first of the names that there is, "" if there is none.

    Raises `InvalidRequestError` if it does not hold the user's key. `fingerprint` is
    the field of a pair that shows one.
    """
    found = next((name for name in names if name in pairs), "")
    if not found or holds(pairs[found]):
        return found
    raise InvalidRequestError(
        f"ssh_key_name={preparation.key_name!r}: {whose} key pair {found} is another "
        f"key (fingerprint {pairs[found].get(fingerprint, 'unknown')}) than "
        "ssh_key_pub: give that key, or another name"
    )
