"""The settings of the services: everything on sqlite, in memory, on loopback."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.clouds.openstack.place import Place
from tests.clouds.openstack.users import ADMIN_PASSWORD

Sections = Mapping[str, Mapping[str, Any]]

#: How a service that asks others finds no message broker in its way.
BROKER = "fake://"

#: Where each service looks for its settings (variable, name of the file).
FILES = {
    "keystone": "keystone.conf",
    "placement": "placement.conf",
    "glance": "glance-api.conf",
    "neutron": "neutron.conf",
    "nova": "nova.conf",
}


def database_url(place: Place, name: str) -> str:
    """Return where SQLAlchemy finds a database."""
    return f"sqlite:///{place.database(name)}?timeout=60"


def environment(place: Place) -> dict[str, str]:
    """Return the variables that lead services to their settings."""
    variables = {
        f"OS_{service.upper()}_CONFIG_DIR": str(place.settings(service))
        for service in FILES
    }
    return {
        **variables,
        "OS_NEUTRON_CONFIG_FILES": FILES["neutron"],
        "OS_NOVA_DISABLE_EVENTLET_PATCHING": "true",
    }


def write_settings(place: Place) -> None:
    """Write the settings of all services into the place's folder."""
    for service, sections in _all(place).items():
        file = place.settings(service) / FILES[service]
        file.write_text("\n".join(_lines(sections)))
    for service in ("neutron", "nova"):  # these insist on a file beside their own
        own = place.environment / "etc" / service / "api-paste.ini"
        shutil.copy(own, place.settings(service))


def write_cinder_settings(place: Place, packages: Path) -> Path:
    """Write the settings of cinder, whose packages are in a folder; return the file."""
    file = place.settings("cinder") / "cinder.conf"
    file.write_text("\n".join(_lines(_cinder(place, packages))))
    return file


def _lines(sections: Sections) -> list[str]:
    lines = []
    for section, options in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{name} = {value}" for name, value in options.items()]
    return [*lines, ""]


def _all(place: Place) -> dict[str, Sections]:
    return {
        "keystone": _keystone(place),
        "placement": _placement(place),
        "glance": _glance(place),
        "neutron": _neutron(place),
        "nova": _nova(place),
    }


def _admin(place: Place) -> dict[str, Any]:
    """Return how services log in where they ask others."""
    return {
        "auth_type": "password",
        "auth_url": place.url("keystone"),
        "username": "admin",
        "password": ADMIN_PASSWORD,
        "project_name": "admin",
        "user_domain_id": "default",
        "project_domain_id": "default",
        "region_name": "RegionOne",
    }


def _tokens(place: Place) -> dict[str, Any]:
    """Return how services check their users' tokens."""
    return {
        **_admin(place),
        "www_authenticate_uri": place.url("keystone", public=True),
        "interface": "internal",
        "service_token_roles_required": True,
    }


def _keystone(place: Place) -> Sections:
    return {
        "DEFAULT": {"use_stderr": True},
        "database": {
            "connection": database_url(place, "keystone"),
            "max_pool_size": 5,
        },
        "fernet_tokens": {"key_repository": place.folder / "fernet"},
        "credential": {"key_repository": place.folder / "credentials"},
        "identity": {"password_hash_rounds": 4},
        "cache": {"enabled": True, "backend": "dogpile.cache.memory"},
    }


def _placement(place: Place) -> Sections:
    return {
        "DEFAULT": {"use_stderr": True},
        "placement_database": {"connection": database_url(place, "placement")},
        "api": {"auth_strategy": "keystone"},
        "keystone_authtoken": _tokens(place),
    }


def _glance(place: Place) -> Sections:
    staging = place.folder / "staging"
    return {
        "DEFAULT": {
            "use_stderr": True,
            "enabled_backends": "files:file",
            "worker_self_reference_url": place.url("glance"),
            "node_staging_uri": staging.as_uri(),
        },
        "database": {"connection": database_url(place, "glance")},
        "glance_store": {"default_backend": "files"},
        "files": {"filesystem_store_datadir": place.folder / "images"},
        "os_glance_staging_store": {"filesystem_store_datadir": staging},
        "os_glance_tasks_store": {"filesystem_store_datadir": staging},
        "oslo_concurrency": {"lock_path": place.folder / "locks"},
        "paste_deploy": {
            "flavor": "keystone",
            "config_file": place.environment / "etc/glance/glance-api-paste.ini",
        },
        "keystone_authtoken": _tokens(place),
    }


def _neutron(place: Place) -> Sections:
    return {
        "DEFAULT": {
            "use_stderr": True,
            "transport_url": BROKER,
            "core_plugin": "ml2",
            "service_plugins": "router",
            "auth_strategy": "keystone",
            "state_path": place.folder / "state",
            "api_paste_config": place.settings("neutron") / "api-paste.ini",
            "dhcp_agent_notification": False,
            "rpc_workers": 0,
        },
        "database": {"connection": database_url(place, "neutron"), "max_pool_size": 20},
        "ml2": {
            "type_drivers": "flat,vxlan",
            "tenant_network_types": "vxlan",
            "mechanism_drivers": "any_host",
            "extension_drivers": "port_security",
        },
        "ml2_type_vxlan": {"vni_ranges": "1:4000"},
        "ml2_type_flat": {"flat_networks": "*"},
        "quotas": {
            "quota_port": 5000,
            "quota_floatingip": 1000,
            "quota_security_group": 1000,
            "quota_security_group_rule": 5000,
        },
        "nova": {**_admin(place), "endpoint_type": "internal"},
        "oslo_concurrency": {"lock_path": place.folder / "locks"},
        "keystone_authtoken": _tokens(place),
    }


def _nova(place: Place) -> Sections:
    asking = {**_admin(place), "valid_interfaces": "internal"}
    return {
        "DEFAULT": _nova_itself(place),
        "api": {"local_metadata_per_cell": False},
        "api_database": {"connection": database_url(place, "nova_api")},
        "database": {
            "connection": database_url(place, "nova_cell1"),
            "max_pool_size": 20,
        },
        "conductor": {"workers": 1},
        "scheduler": {"workers": 1},
        "quota": {
            "instances": 1000,
            "cores": 4000,
            "ram": 4_000_000,
            "key_pairs": 1000,
            "server_groups": 100,
            "server_group_members": 1000,
        },
        "vnc": {"enabled": False},
        "cinder": {**_admin(place), "catalog_info": "volumev3::internalURL"},
        "glance": asking,
        "keystone": asking,
        "neutron": {**asking, "default_floating_pool": "public"},
        "placement": asking,
        "service_user": {"send_service_user_token": True, **_admin(place)},
        "oslo_concurrency": {"lock_path": place.folder / "locks"},
        "keystone_authtoken": _tokens(place),
    }


def _nova_itself(place: Place) -> dict[str, Any]:
    return {
        "use_stderr": True,
        "transport_url": BROKER,
        "compute_driver": "loopback.Driver",
        "state_path": place.folder / "state",
        "my_ip": "127.0.0.1",
        "host": "compute-1",
        "concurrency_backend": "threading",
        "use_cow_images": False,
        "force_raw_images": False,
        "vif_plugging_is_fatal": False,
        "vif_plugging_timeout": 0,
        # Nothing goes on by itself: it would only take the tests' processor time.
        "service_down_time": 600,
        "report_interval": 20,
        "sync_power_state_interval": -1,
        "update_resources_interval": -1,
        "heal_instance_info_cache_interval": -1,
        # How soon it is looked again whether a volume is there.
        "block_device_allocate_retries_interval": 1,
    }


def _cinder(place: Place, packages: Path) -> Sections:
    return {
        "DEFAULT": {
            "use_stderr": True,
            "transport_url": BROKER,
            "state_path": place.folder / "state",
            "my_ip": "127.0.0.1",
            "host": "storage",
            "enabled_backends": "nowhere",
            "glance_api_servers": place.url("glance"),
            "api_paste_config": packages / "etc" / "cinder" / "api-paste.ini",
            "resource_query_filters_file": (
                packages / "etc" / "cinder" / "resource_filters.json"
            ),
            "service_down_time": 600,
            "report_interval": 20,
            "periodic_interval": 0,
        },
        "nowhere": {
            "volume_driver": "tests.clouds.openstack.services.volumes.Driver",
            "volume_backend_name": "nowhere",
        },
        "database": {"connection": database_url(place, "cinder"), "max_pool_size": 20},
        "oslo_concurrency": {"lock_path": place.folder / "locks"},
        "keystone_authtoken": _tokens(place),
    }
