"""Cinder beside a running cloud: for those tests only that boot from volumes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.clouds.endpoint import eventually
from tests.clouds.openstack.filling import administrator
from tests.clouds.openstack.installation import Cache, NotInstallableError
from tests.clouds.openstack.place import Place
from tests.clouds.openstack.processes import ROOT, Programs, Sockets
from tests.clouds.openstack.rig import OpenStackRig
from tests.clouds.openstack.running import UnavailableError
from tests.clouds.openstack.settings import write_cinder_settings
from tests.clouds.openstack.users import REGION

#: What cinder needs beside the environment of the other services.
_REQUIREMENTS = Path(__file__).with_name("requirements-volumes.txt")

#: Where the services are installed; tests may have another home by the time they ask.
_CACHE = Cache.of_this_version()

#: A type of volumes that can be had, and one that no storage has.
FAST, LOST = "fast", "lost"


class Volumes:
    """What cinder holds. Methods block."""

    def __init__(self, admin: Any) -> None:
        self._admin = admin

    def __call__(self) -> list[dict[str, Any]]:
        """Return all projects' volumes.

        Each is a dict: size (GiB), type, status, servers (ids).
        """
        found = self._admin.block_storage.volumes(details=True, all_projects=True)
        return [
            {
                "size": one.size,
                "type": one.volume_type,
                "status": one.status,
                "servers": [each["server_id"] for each in one.attachments],
            }
            for one in found
        ]

    def set_quota(self, project: str, **limits: int) -> None:
        """Limit a project: its `volumes`, or its `gigabytes`."""
        ident = self._admin.identity.find_project(project).id
        self._admin.block_storage.update_quota_set(ident, **limits)

    def reset(self) -> None:
        """Delete the volumes that no server takes along."""
        for one in self._admin.block_storage.volumes(all_projects=True):
            self._admin.block_storage.delete_volume(one, force=True)
        eventually(lambda: not self())


def installed() -> bool:
    """Whether cinder is on this machine already."""
    return _CACHE.addition(_REQUIREMENTS).exists()


@contextmanager
def running_cinder(rig: OpenStackRig) -> Iterator[Volumes]:
    """Run cinder for the block: API, scheduler and volume service, in the catalog.

    Its volumes hold nothing. At the end the cloud is emptied. Raises
    `UnavailableError` where cinder cannot be installed.
    """
    try:
        packages = _CACHE.add(_REQUIREMENTS)
    except NotInstallableError as fault:
        raise UnavailableError(f"cinder cannot be installed here: {fault}") from fault
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="aioec-cinder-")))
        sockets = Sockets(["cinder"])
        stack.callback(sockets.close_all)
        place = Place(
            folder=folder,
            environment=_CACHE.environment,
            ports={**rig.ports, **sockets.ports()},
            network=rig.network,
        )
        place.make()
        settings = write_cinder_settings(place, packages)
        programs = stack.enter_context(Programs(_CACHE, place))
        programs.serve(
            "cinder",
            sockets,
            *("--config-file", settings),
            PYTHONPATH=os.pathsep.join([str(ROOT), str(packages)]),
            OS_CINDER_DISABLE_EVENTLET_PATCHING="true",
        )
        programs.answering("cinder")
        stack.enter_context(_in_catalog(rig, place))
        admin = stack.enter_context(closing(administrator(rig.auth_url)))
        admin.block_storage.create_type(name=FAST)
        elsewhere = {"volume_backend_name": "elsewhere"}
        admin.block_storage.create_type(name=LOST, extra_specs=elsewhere)
        stack.callback(rig.reset)
        yield Volumes(admin)


@contextmanager
def _in_catalog(rig: OpenStackRig, place: Place) -> Iterator[None]:
    """Have the catalog say where cinder is."""
    with closing(administrator(rig.auth_url)) as admin:
        service = admin.identity.create_service(name="cinder", type="volumev3")
        try:
            for interface in ("public", "internal"):
                admin.identity.create_endpoint(
                    service_id=service.id,
                    interface=interface,
                    url=place.url("cinder", public=interface == "public"),
                    region_id=REGION,
                )
            yield
        finally:
            admin.identity.delete_service(service)
