"""Which project of Google's, and as whom."""

from __future__ import annotations

from dataclasses import dataclass

#: Where Google's own API is.
API_ROOT = "https://compute.googleapis.com/compute/v1"


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where to ask; without a file of credentials, as Google's tools find them."""

    project: str
    api_root: str = API_ROOT
    credentials: str | None = None
