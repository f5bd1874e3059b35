"""An order as containers: all that one needs is in its create call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio

from aioelasticluster.errors import (
    CapacityError,
    InvalidRequestError,
    UnknownOutcomeError,
)
from aioelasticluster.providers.base import LaunchOrder
from aioelasticluster.providers.containers.calls import (
    Calls,
    ConflictError,
    NotThereError,
)
from aioelasticluster.providers.containers.naming import (
    INDEX,
    container_name,
    instance_of,
)
from aioelasticluster.providers.containers.options import ContainerOptions
from aioelasticluster.providers.containers.resources import (
    NETWORK,
    PUBLISHED,
    no_image,
    volume,
)
from aioelasticluster.providers.containers.scripts import INIT
from aioelasticluster.providers.containers.seed import packed

#: How often a container that another request makes is looked for, and the pause.
_LOOKS, _LOOK_PAUSE = 100, 0.1

MIB = 1024 * 1024

#: What systemd needs: to mount what is its own, and to arrange networks.
CAPABILITIES = ("SYS_ADMIN", "NET_ADMIN")

#: Without these an engine's own filters forbid just that.
_SECURITY = ("seccomp=unconfined", "apparmor=unconfined")

#: How long (seconds) systemd may take to end everything when a node is paused.
STOP_TIMEOUT = 60

#: What tells systemd to halt.
STOP_SIGNAL = "SIGRTMIN+3"


class Maker:
    """Makes and starts the containers of one order."""

    def __init__(self, calls: Calls, order: LaunchOrder, image: str) -> None:
        self._calls, self._order = calls, order
        self._options = ContainerOptions.of(order.spec)
        self._image = self._options.image or image
        self._seed = packed(order)

    async def launch(self, index: int) -> None:
        """Make and start one; repeating it makes nothing new. Raises `ProviderError`.

        One that cannot be started is removed again.
        """
        name = container_name(
            self._order.tags.cluster, self._order.names[index], self._order.token
        )
        await self._have(name, index)
        try:
            await start(self._calls, name)
        except (CapacityError, InvalidRequestError):
            await self._calls.send(
                "DELETE",
                f"containers/{name}",
                parameters={"force": "true", "v": "true"},
            )
            raise

    async def _have(self, name: str, index: int) -> None:
        """Make a container, or find that the same request has made it before."""
        for _ in range(_LOOKS):
            try:
                await self._calls.send(
                    "POST",
                    "containers/create",
                    body=self._body(index),
                    parameters={"name": name},
                )
                return
            except NotThereError as error:
                raise no_image(self._image, error) from error
            except ConflictError:
                pass
            try:
                return await self._check_ours(name, index)
            except NotThereError:  # the name is taken, but its container still made
                await anyio.sleep(_LOOK_PAUSE)
        raise UnknownOutcomeError(f"container {name} is being made by another request")

    async def _check_ours(self, name: str, index: int) -> None:
        """Raise `InvalidRequestError` if a name is taken by something else."""
        found = await self._calls.get(f"containers/{name}/json")
        labels = found["Config"].get("Labels") or {}
        ours = self._labels(index)
        if any(labels.get(key) != ours[key] for key in (INDEX, "aioec-token")):
            raise InvalidRequestError(
                f"a container named {name} exists, and is not this order's: remove it"
            )

    def _labels(self, index: int) -> dict[str, str]:
        return self._order.tags.encoded() | {INDEX: str(index)}

    def _body(self, index: int) -> Mapping[str, Any]:
        name, network = self._order.names[index], self._order.resources[NETWORK]
        return {
            "Image": self._image,
            "Hostname": name,
            "Entrypoint": ["/bin/sh", "-c"],
            "Cmd": [INIT],
            "Env": [
                f"AIOEC_SEED={self._seed}",
                f"AIOEC_INSTANCE={instance_of(self._order.token, index)}",
            ],
            "Labels": self._labels(index),
            "User": "0",
            "WorkingDir": "/",
            "StopSignal": STOP_SIGNAL,
            "StopTimeout": STOP_TIMEOUT,
            "Healthcheck": {"Test": ["NONE"]},
            "ExposedPorts": {"22/tcp": {}},
            "HostConfig": self._host_config(network),
            "NetworkingConfig": {"EndpointsConfig": {network: {"Aliases": [name]}}},
        }

    def _host_config(self, network: str) -> Mapping[str, Any]:
        options, resources = self._options, self._order.resources
        memory = options.memory * MIB
        publish = {"22/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}
        return {
            "NetworkMode": network,
            "CgroupnsMode": "private",
            "CapAdd": [*CAPABILITIES, *options.capabilities],
            "Devices": [
                {
                    "PathOnHost": device,
                    "PathInContainer": device,
                    "CgroupPermissions": "rwm",
                }
                for device in options.devices
            ],
            "SecurityOpt": list(_SECURITY),
            "Tmpfs": {"/run": ""},
            "NanoCpus": round(options.cpus * 1e9),
            "Memory": memory,
            "MemorySwap": memory,
            "Binds": [
                mount.bind(
                    resources[volume(mount.source)] if mount.named else mount.source
                )
                for mount in options.mounts()
            ],
            "PortBindings": publish if resources.get(PUBLISHED) else {},
        }


async def start(calls: Calls, id: str) -> None:
    """Start a container; one that runs already is success."""
    await calls.send("POST", f"containers/{id}/start")
