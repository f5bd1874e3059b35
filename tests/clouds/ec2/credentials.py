"""The access keys that the server knows; they are good for nothing else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key of an account."""

    id: str
    secret: str
    account: str


FIRST = AccessKey(
    "AKIATESTSERVERFIRST0", "first-secret-of-the-test-server", "111122223333"
)
OTHER = AccessKey(
    "AKIATESTSERVEROTHER0", "other-secret-of-the-test-server", "444455556666"
)

ACCESS_KEYS = {key.id: key for key in (FIRST, OTHER)}


def issue(id: str, secret: str) -> None:
    """Know one more key of the first account, for as long as this process runs."""
    ACCESS_KEYS[id] = AccessKey(id, secret, FIRST.account)
