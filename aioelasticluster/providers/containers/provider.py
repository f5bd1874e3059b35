"""A container engine as a cloud: containers with systemd and OpenSSH, root inside."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

from aioelasticluster._aio.blocking import Blocking
from aioelasticluster._aio.finish import finish
from aioelasticluster._aio.shared import Shared
from aioelasticluster.errors import ConfigurationError, UnsupportedError
from aioelasticluster.model.capabilities import Capabilities
from aioelasticluster.model.records import NodeSpec
from aioelasticluster.providers.base import (
    AbstractCloudProvider,
    Instance,
    Launched,
    LaunchOrder,
    Preparation,
)
from aioelasticluster.providers.containers.naming import cluster_label, token_label
from aioelasticluster.providers.containers.options import (
    USER_DATA_LIMIT,
    ContainerOptions,
)
from aioelasticluster.providers.containers.places import check_docker_host
from aioelasticluster.providers.options import check_user_data

if TYPE_CHECKING:
    from aioelasticluster.providers.containers.engine import Engine

#: Networks in which nodes would share this machine's address, or have none.
_NOT_OF_OUR_OWN = frozenset({"", "default", "host", "none"})

_in_thread = Blocking(width=1, patience=60.0)


class ContainerCloudProvider(AbstractCloudProvider):
    """Containers of Docker or Podman as instances, with systemd, OpenSSH and root.

    All nodes run `image` (see `aioelasticluster image build`), whatever their
    `image_id` says, unless they have the option `image`; flavor and security group
    mean nothing here. The other options are those of `ContainerOptions`.

    `docker_host` is where the engine listens, such as `unix:///run/docker.sock`.
    Without it: DOCKER_HOST, CONTAINER_HOST, Docker's current context, or the first of
    the usual sockets of Docker and Podman that accepts. `network` is a network of the
    user's own for all nodes; else each cluster gets one, which `stop` removes.
    """

    adapter: ClassVar[str] = "containers"
    capabilities = Capabilities(pause=True, cloud_host_keys=True)
    max_batch = 50
    settle_window = 30.0
    launch_patience = 300.0
    poll_pauses = end_pauses = (0.3, 1.0)

    def __init__(
        self, image: str, *, docker_host: str | None = None, network: str | None = None
    ) -> None:
        if find_spec("aiodocker") is None:
            raise UnsupportedError(
                "ContainerCloudProvider needs aiodocker: "
                "pip install 'aioelasticluster[containers]'"
            )
        _check(image, docker_host, network)
        self._image, self._network = image, network
        self._docker_host = docker_host
        self._engine = Shared(self._connected)

    def __repr__(self) -> str:
        return f"ContainerCloudProvider({self._image!r})"

    def settings(self) -> Mapping[str, Any]:
        """Return the arguments that were given."""
        given = {
            "image": self._image,
            "docker_host": self._docker_host,
            "network": self._network,
        }
        return {name: value for name, value in given.items() if value is not None}

    def check_options(self, spec: NodeSpec) -> None:
        """Raise `ConfigurationError` for options, or user-data, that cannot be."""
        ContainerOptions.of(spec)
        check_user_data(spec, USER_DATA_LIMIT)

    async def identity(self) -> str:
        """Return which engine it is."""
        async with self._engine() as engine:
            return await engine.identity()

    async def prepare(self, preparation: Preparation) -> Mapping[str, str]:
        """Find image, network and volumes; make the network and volumes it lacks."""
        async with self._engine() as engine:
            network = self._network or ""
            return await engine.prepare(preparation, self._image, network)

    async def cleanup(self, cluster_id: str) -> None:
        """Remove the cluster's network and the volumes that were made for it."""
        async with self._engine() as engine:
            await engine.cleanup(cluster_id)

    async def launch(self, order: LaunchOrder) -> Launched:
        """Make and start a container for each name; a cancellation waits for all."""
        async with self._engine() as engine:
            work = engine.launch(order, self._image)
            return await finish(work, patience=self.launch_patience)

    async def find(
        self, *, token: str | None = None, cluster_id: str | None = None
    ) -> Sequence[Instance]:
        """Return the containers of a token, a cluster, or of the whole engine."""
        labels = [token_label(token)] if token is not None else []
        if cluster_id is not None:
            labels.append(cluster_label(cluster_id))
        async with self._engine() as engine:
            return await engine.listed(*labels)

    async def describe(
        self, cluster_id: str, awaited: Collection[str]
    ) -> Sequence[Instance]:
        """Return all of the cluster's containers, in one request.

        One that is awaited, but was never started since its program was killed in
        between, is started: all that it needs was in its create call. If that is
        refused, it has failed.
        """
        async with self._engine() as engine:
            found = await engine.listed(cluster_label(cluster_id))
            return await engine.begun(found, awaited)

    async def terminate(self, ids: Sequence[str]) -> None:
        """Kill and remove containers, several at a time."""
        async with self._engine() as engine:
            await engine.terminate(ids)

    async def pause(self, ids: Sequence[str]) -> None:
        """Have systemd stop containers; disks stay, addresses may be others later."""
        async with self._engine() as engine:
            await engine.stop(ids)

    async def resume(self, ids: Sequence[str]) -> None:
        """Start stopped containers again."""
        async with self._engine() as engine:
            await engine.start(ids)

    async def host_keys(self, ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return public host keys, read from the containers' disks."""
        async with self._engine() as engine:
            return await engine.host_keys(ids)

    async def retag(self, ids: Sequence[str], *, repository: str) -> None:
        """Write another repository's id into names: labels cannot be changed."""
        async with self._engine() as engine:
            await engine.retag(ids, repository)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Keep the connection for the block."""
        async with self._engine():
            yield

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Engine]:
        """Connect; the client is imported in a thread, which takes it a while."""
        using_engine = await _in_thread(_load)
        async with using_engine(self._docker_host) as engine:
            yield engine


def _load() -> Callable[[str | None], AbstractAsyncContextManager[Engine]]:
    from aioelasticluster.providers.containers.engine import using_engine

    return using_engine


def _check(image: str, docker_host: str | None, network: str | None) -> None:
    """Raise `ConfigurationError` for arguments that can never do."""
    if not image or image != image.strip():
        raise ConfigurationError(
            "image",
            image,
            "not an image's name",
            "Give one that the engine has: `aioelasticluster image build` makes one",
        )
    if docker_host is not None:
        check_docker_host(docker_host)
    if network is not None and network in _NOT_OF_OUR_OWN:
        raise ConfigurationError(
            "network",
            network,
            "nodes would not have addresses of their own",
            "Give a network of your own, or leave it out",
        )
