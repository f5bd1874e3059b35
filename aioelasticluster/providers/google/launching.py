"""One order as one bulk request."""

from __future__ import annotations

from typing import Any

from aioelasticluster.providers.base import LaunchOrder
from aioelasticluster.providers.google.naming import (
    cluster_name,
    instance_name,
    is_zone,
    labels,
    region_of,
)
from aioelasticluster.providers.google.options import (
    USER_DATA_LIMIT,
    GoogleOptions,
)
from aioelasticluster.providers.options import Place, fitting, resource


def bulk_insert(order: LaunchOrder) -> dict[str, Any]:
    """Return the body of an order's request; a part of it is welcome.

    The names are given: where Google numbers instances itself, a repeated request
    would make further ones.
    """
    names = [instance_name(name, order.token) for name in order.names]
    options, place = GoogleOptions.of(order.spec), Place.parsed(order.zone)
    return {
        "count": str(len(names)),
        "minCount": "1",
        "perInstanceProperties": {name: {"name": name} for name in names},
        "instanceProperties": _properties(order),
        **({} if is_zone(place.where) else _location_policy(options)),
    }


def _location_policy(options: GoogleOptions) -> dict[str, Any]:
    """Return how Google is to choose among a region's zones, if that was said."""
    policy: dict[str, Any] = {}
    if options.target_shape:
        policy["targetShape"] = options.target_shape
    if options.avoid_zones:
        policy["locations"] = {
            f"zones/{zone}": {"preference": "DENY"} for zone in options.avoid_zones
        }
    return {"locationPolicy": policy} if policy else {}


def _properties(order: LaunchOrder) -> dict[str, Any]:
    options, place = GoogleOptions.of(order.spec), Place.parsed(order.zone)
    cluster_id = order.tags.cluster_id
    properties: dict[str, Any] = {
        "machineType": place.flavor or order.spec.flavor,
        "labels": labels(cluster_id, order.token),
        "tags": {"items": [cluster_name(cluster_id), *options.tags]},
        "metadata": {"items": _metadata(order, options)},
        "disks": _disks(order, options),
        "networkInterfaces": [_interface(order, options, place)],
        "scheduling": _scheduling(options),
    }
    if options.accelerator_count:
        properties["guestAccelerators"] = [
            {
                "acceleratorType": options.accelerator_type,
                "acceleratorCount": options.accelerator_count,
            }
        ]
    if options.min_cpu_platform:
        properties["minCpuPlatform"] = options.min_cpu_platform
    if options.scopes or options.service_account:
        account = options.service_account or "default"
        properties["serviceAccounts"] = [
            {"email": account, "scopes": options.full_scopes()}
        ]
    return properties


def _metadata(order: LaunchOrder, options: GoogleOptions) -> list[dict[str, str]]:
    told = {
        **order.tags.encoded(),
        "enable-guest-attributes": "TRUE",
        "ssh-keys": f"{order.spec.image_user}:{order.public_key.strip()}",
    }
    if not options.allow_project_ssh_keys:
        told["block-project-ssh-keys"] = "TRUE"
    if order.user_data:
        told["user-data"] = fitting(order.user_data, USER_DATA_LIMIT)
    return [{"key": key, "value": value} for key, value in told.items()]


def _disks(order: LaunchOrder, options: GoogleOptions) -> list[dict[str, Any]]:
    boot: dict[str, Any] = {
        "sourceImage": order.resources[resource("image", order.spec.image_id)],
        "diskType": options.boot_disk_type,
        "labels": labels(order.tags.cluster_id, order.token),
    }
    if options.boot_disk_size:
        boot["diskSizeGb"] = str(options.boot_disk_size)
    local: dict[str, Any] = {
        "type": "SCRATCH",
        "autoDelete": True,
        "interface": options.local_ssd_interface,
        "initializeParams": {"diskType": "local-ssd"},
    }
    return [
        {"boot": True, "autoDelete": True, "initializeParams": boot},
        *[local] * options.local_ssd_count,
    ]


def _interface(
    order: LaunchOrder, options: GoogleOptions, place: Place
) -> dict[str, Any]:
    interface: dict[str, Any] = {
        "network": f"global/networks/{options.network or 'default'}"
    }
    if options.subnetwork:
        region = region_of(place.where)
        interface = {"subnetwork": f"regions/{region}/subnetworks/{options.subnetwork}"}
    if options.public_address:
        interface["accessConfigs"] = [
            {"name": "External NAT", "type": "ONE_TO_ONE_NAT"}
        ]
    return interface


def _scheduling(options: GoogleOptions) -> dict[str, Any]:
    scheduling: dict[str, Any] = {}
    if options.on_spot:
        scheduling = {
            "provisioningModel": "SPOT",
            "automaticRestart": False,
            "onHostMaintenance": "TERMINATE",
            "instanceTerminationAction": "DELETE",
        }
    elif options.accelerator_count:
        scheduling = {"onHostMaintenance": "TERMINATE"}
    if options.max_run_duration:
        scheduling |= {
            "maxRunDuration": {"seconds": str(options.max_run_duration)},
            "instanceTerminationAction": "DELETE",
        }
    return scheduling
