"""Where EC2 is, and who asks."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where EC2 is, and as whom to ask it; without keys, as botocore finds them."""

    url: str | None
    region: str
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    profile: str | None = None

    @property
    def caller(self) -> str:
        """Who asks, as an argument that the user gave; empty if botocore found it."""
        given = {"access_key": self.access_key, "profile": self.profile}
        return ", ".join(f"{key}={value!r}" for key, value in given.items() if value)

    @property
    def account(self) -> Hashable:
        """What tells one account's limits from another's, as far as is known here."""
        return self.url, self.region, self.access_key, self.profile
