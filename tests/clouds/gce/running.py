"""Runs the server for tests and benchmarks, and asks it what it saw."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clouds.endpoint import Endpoint, running_server, why_no_hosts
from tests.clouds.gce.accounts import FIRST, OTHER
from tests.clouds.gce.catalogue import (
    IMAGE_ID,
    MACHINE_TYPES,
    REGION,
    REGIONS,
    ZONE,
    zones,
)

__all__ = ["Credentials", "GceEndpoint", "running_gce", "why_no_hosts"]

#: The states of instances that are gone, or on their way.
LEAVING = ("STOPPING", "GONE")


def id_of(instance: dict[str, Any]) -> str:
    """Return what records call an instance of the server."""
    return f"{instance['zone']}/{instance['name']}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files with credentials, of two projects: of a service account and a user each.

    Those of external accounts are for the account itself, or for acting as another.
    """

    first: Path
    first_user: Path
    first_external: Path
    first_external_acting: Path
    other: Path
    other_user: Path
    other_external: Path
    other_external_acting: Path


@dataclass(frozen=True, slots=True)
class GceEndpoint(Endpoint):
    """A running server. Methods block, for milliseconds, and count as no requests."""

    project: str = FIRST.project
    other_project: str = OTHER.project
    account: str = FIRST.email
    other_account: str = OTHER.email
    region: str = REGION
    regions: tuple[str, ...] = tuple(REGIONS)
    zone: str = ZONE
    #: The region's zones.
    zones: tuple[str, ...] = zones(REGION)
    #: An image with cloud-init, and its login.
    image_id: str = IMAGE_ID
    login: str = "ubuntu"
    flavor: str = "e2-small"
    flavors: tuple[str, ...] = tuple(MACHINE_TYPES)

    def node(self) -> dict[str, Any]:
        return {
            "image_id": self.image_id,
            "image_user": self.login,
            "flavor": self.flavor,
            "security_group": "default",
        }

    def alive(self) -> set[str]:
        found = self.instances()
        return {id_of(one) for one in found if one["state"] not in LEAVING}

    def running(self) -> dict[str, set[str]]:
        return {
            id_of(one): {one["address"], one["public_address"]}
            for one in self.instances("RUNNING")
        }

    def made(self) -> dict[str, list[str]]:
        (mine,) = (one for one in self.resources() if one["project"] == self.project)
        return {kind: mine[kind] for kind in ("disks", "firewalls") if mine[kind]}

    def launches(self) -> list[dict[str, Any]]:
        zonal = self.requests("instances.bulkInsert")
        return zonal + self.requests("regionInstances.bulkInsert")

    @property
    def api_root(self) -> str:
        """Where the API begins; what follows is `projects/…`."""
        return f"{self.url}/compute/v1/"

    @property
    def metadata_host(self) -> str:
        """Where the metadata server is, as `GCE_METADATA_HOST` has it."""
        return self.url.removeprefix("http://")

    def credentials(self) -> dict[str, dict[str, Any]]:
        """Return what credentials files say, by the names in `Credentials`."""
        found: dict[str, dict[str, Any]] = self._ask("GET", "credentials")
        return found

    def write_credentials(self, folder: Path) -> Credentials:
        """Write the credentials to files, readable for us alone."""
        files = {}
        for name, content in self.credentials().items():
            path = folder / f"{name}.json"
            path.touch(mode=0o600)
            path.write_text(json.dumps(content))
            files[name.replace("-", "_")] = path
        return Credentials(**files)

    def revoke_tokens(self) -> None:
        """Take back all tokens since the last reset, before their time."""
        self._ask("POST", "revoke")


@contextmanager
def running_gce(*, hosts: bool = False, **behaviour: Any) -> Iterator[GceEndpoint]:
    """Run a server for the block; it ends with the block, whatever happens.

    With `hosts`, each running instance is a real SSH server at its address, port 22.
    """
    with running_server("tests.clouds.gce.server", hosts=hosts) as started:
        endpoint = GceEndpoint(**started)
        if behaviour:
            endpoint.behave(**behaviour)
        yield endpoint
