"""What a new cloud gets before anybody uses it: users, an image, flavors, networks."""

from __future__ import annotations

from typing import Any

import openstack

from tests.clouds.openstack.place import SERVICES, Place
from tests.clouds.openstack.users import (
    FLAVORS,
    IMAGE,
    PRIVATE,
    PUBLIC,
    REGION,
    USERS,
    login,
)

_TYPES = {
    "glance": "image",
    "neutron": "network",
    "nova": "compute",
    "placement": "placement",
}


def administrator(url: str) -> Any:
    """Return a connection that makes its requests where services do."""
    return openstack.connect(
        **login(url, "admin"),
        interface="internal",
        load_yaml_config=False,
        load_envvars=False,
    )


def fill_catalog(admin: Any, place: Place) -> None:
    """Enter services and users; needs only keystone."""
    for name in SERVICES[1:]:
        service = admin.identity.create_service(name=name, type=_TYPES[name])
        for interface in ("public", "internal", "admin"):
            admin.identity.create_endpoint(
                service_id=service.id,
                interface=interface,
                url=place.url(name, public=interface == "public"),
                region_id=REGION,
            )
    _may(admin, admin.identity.find_project("admin"), "admin", "service")
    for name in USERS:
        project = admin.identity.create_project(name=name, domain_id="default")
        admin.identity.create_user(
            name=name,
            password=name,
            domain_id="default",
            default_project_id=project.id,
        )
        _may(admin, project, name, "member")


def _may(admin: Any, project: Any, user: str, role: str) -> None:
    admin.identity.assign_project_role_to_user(
        project, admin.identity.find_user(user), admin.identity.find_role(role)
    )


def fill_services(admin: Any, place: Place) -> None:
    """Make what servers are launched from."""
    admin.image.create_image(
        name=IMAGE,
        disk_format="raw",
        container_format="bare",
        visibility="public",
        data=bytes(1024),
    )
    for name, (memory, processors) in FLAVORS.items():
        admin.compute.create_flavor(name=name, ram=memory, vcpus=processors, disk=1)
    public = admin.network.create_network(
        name=PUBLIC,
        is_router_external=True,
        provider_network_type="flat",
        provider_physical_network="outside",
    )
    _subnet(admin, public, f"{place.network}.16.0/20")
    for number, user in enumerate(USERS, 2):
        project = admin.identity.find_project(user)
        cidr = f"{place.network}.{number * 16}.0/20"
        _own_network(admin, project.id, public, cidr)


def _own_network(admin: Any, project: str, public: Any, cidr: str) -> None:
    network = admin.network.create_network(name=PRIVATE, project_id=project)
    subnet = _subnet(admin, network, cidr, project_id=project)
    router = admin.network.create_router(
        name="router",
        project_id=project,
        external_gateway_info={"network_id": public.id},
    )
    admin.network.add_interface_to_router(router, subnet_id=subnet.id)


def _subnet(admin: Any, network: Any, cidr: str, **more: Any) -> Any:
    """Make a subnet of loopback addresses, which neutron allows without DHCP only."""
    return admin.network.create_subnet(
        name=network.name,
        network_id=network.id,
        ip_version=4,
        cidr=cidr,
        is_dhcp_enabled=False,
        **more,
    )
