"""What users of a new cloud know of it: who they are, and what to launch from."""

from __future__ import annotations

from typing import Any

#: The password of the administrator.
ADMIN_PASSWORD = "admin"

#: The ordinary users; each has a project of its name, and its name as password.
USERS = ("demo", "demo2")

IMAGE = "tiny"

#: Memory (MiB) and processors of the flavors. No host is big enough for the last one.
FLAVORS = {
    "m1.tiny": (512, 1),
    "m1.small": (2048, 1),
    "m1.medium": (4096, 2),
    "m1.huge": (1_000_000, 1),
}

#: Each user's own network, and the one that floating addresses are from.
PRIVATE, PUBLIC = "private", "public"

REGION = "RegionOne"


def login(url: str, user: str) -> dict[str, Any]:
    """Return what `openstack.connect` needs for a user's project."""
    password = ADMIN_PASSWORD if user == "admin" else user
    return {
        "auth": {
            "auth_url": url,
            "username": user,
            "password": password,
            "project_name": user,
            "user_domain_id": "default",
            "project_domain_id": "default",
        },
        "region_name": REGION,
    }
