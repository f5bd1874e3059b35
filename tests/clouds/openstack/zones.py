"""Two availability zones, of which the first can be full: an administrator's work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openstack

from tests.clouds.openstack.rig import OpenStackRig

#: The zone that is made, of one host, and that of all others.
_FIRST, _OTHERS = "annex", "nova"


class Zones:
    """The zones; `first_host` is the only one in the first."""

    names = (_FIRST, _OTHERS)

    def __init__(self, admin: Any) -> None:
        compute = self._compute = admin.compute
        self._placement = admin.placement
        self._taken: tuple[str, int] | None = None
        services = list(compute.services(binary="nova-compute"))
        self._service = max(services, key=lambda one: str(one.host))
        self.first_host = str(self._service.host)
        self._aggregate = compute.create_aggregate(
            name=_FIRST, availability_zone=_FIRST
        )
        compute.add_host_to_aggregate(self._aggregate, self.first_host)

    def close_first(self) -> None:
        """Admit no more servers to the first zone."""
        self._compute.disable_service(self._service)

    def fill_first(self) -> None:
        """Leave no room in the first zone."""
        (provider,) = self._placement.get(
            "/resource_providers", params={"name": self.first_host}
        ).json()["resource_providers"]
        path = f"/resource_providers/{provider['uuid']}/inventories/MEMORY_MB"
        found = self._placement.get(path).json()
        self._taken = path, found["reserved"]
        self._reserve(found["total"])

    def _reserve(self, memory: int) -> None:
        assert self._taken
        path, _ = self._taken
        found = self._placement.get(path).json() | {"reserved": memory}
        answer = self._placement.put(path, json=found, microversion="1.26")
        assert answer.status_code == 200, answer.text

    def close(self) -> None:
        """Make one zone of them again."""
        if self._taken:
            self._reserve(self._taken[1])
        self._compute.enable_service(self._service)
        self._compute.remove_host_from_aggregate(self._aggregate, self.first_host)
        self._compute.delete_aggregate(self._aggregate)


@contextmanager
def zones_of(rig: OpenStackRig) -> Iterator[Zones]:
    """Have two zones for the block, at whose end no server may be left."""
    admin: Any = openstack.connect(
        **rig.admin, load_yaml_config=False, load_envvars=False
    )
    try:
        zones = Zones(admin)
        try:
            yield zones
        finally:
            zones.close()
    finally:
        admin.close()
