"""OpenStack as a provider: Nova, Neutron and Glance through openstacksdk."""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Coroutine,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import anyio

from aioelasticluster._aio.blocking import Blocking
from aioelasticluster._aio.loop_local import LoopLocal
from aioelasticluster._aio.shared import Shared
from aioelasticluster._aio.tasks import each
from aioelasticluster.errors import (
    CapacityError,
    ConfigurationError,
    InvalidRequestError,
    ProviderError,
    TransientError,
    UnknownOutcomeError,
    UnsupportedError,
)
from aioelasticluster.model.capabilities import Capabilities
from aioelasticluster.model.records import NodeSpec
from aioelasticluster.model.tags import PREFIX
from aioelasticluster.providers.base import (
    AbstractCloudProvider,
    Instance,
    InstanceState,
    Launched,
    LaunchOrder,
    Preparation,
)
from aioelasticluster.providers.host_keys import host_keys_in
from aioelasticluster.providers.openstack.acting import act, write_metadata
from aioelasticluster.providers.openstack.addresses import with_floating_address
from aioelasticluster.providers.openstack.launching import accepted, made_of
from aioelasticluster.providers.openstack.listing import Server, listed
from aioelasticluster.providers.openstack.naming import OURS, cluster_tag, token_tag
from aioelasticluster.providers.openstack.options import (
    USER_DATA_LIMIT,
    OpenStackOptions,
)
from aioelasticluster.providers.openstack.resources import (
    FLOATING,
    GROUPS,
    Preparing,
    delete,
    remove_made,
)
from aioelasticluster.providers.openstack.target import Target
from aioelasticluster.providers.options import check_user_data, placed

if TYPE_CHECKING:
    from aioelasticluster.providers.openstack.connection import Calls

#: Requests about single servers at a time.
WIDTH = 8

_in_thread = Blocking(width=1, patience=60.0)


class OpenStackCloudProvider(AbstractCloudProvider):
    """Servers of an OpenStack project.

    `cloud` names an entry of clouds.yaml. The other arguments lead there without one,
    or change it; what is not given comes from the OS_* variables. A password or an
    application credential's secret is never recorded.

    `availability_zone`, `request_floating_ip` and `server_group` hold for all nodes
    that do not say otherwise; the options are those of `OpenStackOptions`. `shelve`
    makes `pause` free the hosts, too. `compute_endpoint` is used instead of the
    catalogue's.
    """

    adapter: ClassVar[str] = "openstack"
    capabilities = Capabilities(pause=True, cloud_host_keys=True, tokens=False)
    max_batch = 100
    settle_window = 60.0
    launch_patience = 180.0
    poll_pauses = (1.0, 1.2)
    end_pauses = (2.0, 5.0)

    def __init__(
        self,
        cloud: str = "",
        *,
        auth_url: str = "",
        username: str = "",
        password: str = "",
        project_name: str = "",
        project_id: str = "",
        user_domain_name: str = "",
        project_domain_name: str = "",
        user_domain_id: str = "",
        project_domain_id: str = "",
        application_credential_id: str = "",
        application_credential_name: str = "",
        application_credential_secret: str = "",
        token: str = "",
        region_name: str = "",
        interface: str = "",
        cacert: str = "",
        compute_endpoint: str = "",
        availability_zone: str = "",
        request_floating_ip: bool = False,
        server_group: str = "",
        shelve: bool = False,
    ) -> None:
        if find_spec("openstack") is None:
            raise UnsupportedError(
                "OpenStackCloudProvider needs openstacksdk: "
                "pip install 'aioelasticluster[openstack]'"
            )
        if cacert and not Path(cacert).is_file():
            raise ConfigurationError(
                "cacert", cacert, "no such file", "Give the CA's certificates (PEM)"
            )
        self._target = Target(
            cloud=cloud,
            auth_url=auth_url,
            username=username,
            password=password,
            project_name=project_name,
            project_id=project_id,
            user_domain_name=user_domain_name,
            project_domain_name=project_domain_name,
            user_domain_id=user_domain_id,
            project_domain_id=project_domain_id,
            application_credential_id=application_credential_id,
            application_credential_name=application_credential_name,
            application_credential_secret=application_credential_secret,
            token=token,
            region_name=region_name,
            interface=interface,
            cacert=cacert,
            compute_endpoint=compute_endpoint,
        )
        self._zone = availability_zone
        self._shelve = shelve
        self._defaults = {
            "request_floating_ip": request_floating_ip,
            "server_group": server_group,
        }
        self._made: dict[str, set[str]] = {}
        self._kept: Calls | None = None
        self._calls = Shared(self._calling)
        self._addressing = LoopLocal(anyio.Lock)
        self._limiter = LoopLocal(lambda: anyio.CapacityLimiter(WIDTH))

    def __repr__(self) -> str:
        where = self._target.cloud or self._target.auth_url
        return f"OpenStackCloudProvider({where!r})"

    def settings(self) -> Mapping[str, Any]:
        """Return the arguments, without secrets: the SDK finds them, or the caller."""
        given = {
            "availability_zone": self._zone,
            "shelve": self._shelve,
            **self._defaults,
        }
        return {
            **self._target.settings,
            **{name: value for name, value in given.items() if value},
        }

    # What needs no network

    def check_options(self, spec: NodeSpec) -> None:
        """Raise `ConfigurationError` for options, or user-data, that Nova refuses."""
        OpenStackOptions.of(self._complete(spec))
        check_user_data(spec, USER_DATA_LIMIT, encoded=True)

    def zones(self, spec: NodeSpec) -> Sequence[str]:
        """Return the places to try: availability zone, and maybe another flavor."""
        return OpenStackOptions.of(self._complete(spec)).places()

    def _complete(self, spec: NodeSpec) -> NodeSpec:
        """Return a spec with the provider's own options where it has none."""
        given: dict[str, Any] = {k: v for k, v in self._defaults.items() if v}
        if self._zone:
            given["zones"] = (self._zone,)
        return replace(spec, options={**given, **spec.options})

    # Requests

    async def identity(self) -> str:
        """Return keystone's URL, the region and the project's id."""
        async with self._calls() as calls:
            return f"openstack:{await calls.identity()}"

    async def prepare(self, preparation: Preparation) -> Mapping[str, str]:
        """Find flavor, image, networks and groups; import the key if it is missing."""
        specs = [self._complete(spec) for spec in preparation.specs]
        async with self._calls() as calls:
            preparing = Preparing(calls, replace(preparation, specs=specs))
            found = await preparing()
        if preparing.first:
            self._made[preparation.cluster_id] = set()
        if (made := self._made.get(preparation.cluster_id)) is not None:
            made.update(found["made"].split(","))
        return found

    async def cleanup(self, cluster_id: str) -> None:
        """Delete the cluster's key pair, server groups, groups and addresses.

        Only who was the first to prepare it, and heard of what others did, knows what
        need not be looked for.
        """
        async with self._calls() as calls:
            kinds = self._made.get(cluster_id, {GROUPS, FLOATING})
            await remove_made(calls, cluster_id, kinds=kinds)
        self._made.pop(cluster_id, None)

    async def launch(self, order: LaunchOrder) -> Launched:
        """Launch a batch with one request; a second one lists what it made.

        Nova answers with the first server only, and does not say why it made fewer
        than asked for: the next order of the rest tells.
        """
        order = replace(order, spec=self._complete(order.spec))
        async with self._calls() as calls:
            try:
                answer = await accepted(calls, order)
            except TransientError as error:
                if error.code.startswith("5") and error.code != "503":
                    raise UnknownOutcomeError(str(error)) from error
                raise
            except CapacityError as error:
                raise placed(error, order) from error.__cause__
            try:
                found = await made_of(calls, order, answer["server"]["id"])
            except ProviderError as error:  # Nova has accepted it, whatever comes now
                raise UnknownOutcomeError(str(error)) from error
        return Launched(instances=tuple(found))

    async def find(
        self, *, token: str | None = None, cluster_id: str | None = None
    ) -> Sequence[Instance]:
        """Return the servers of a token, a cluster, or of the whole project."""
        tag = OURS
        if token is not None:
            tag = token_tag(token)
        elif cluster_id is not None:
            tag = cluster_tag(cluster_id)
        async with self._calls() as calls:
            found = await listed(calls, tag)
        for server in found:
            if server.tags is not None and server.tags.cluster_id in self._made:
                self._made[server.tags.cluster_id] |= server.made
        return [server for server in found if server.tags is not None]

    async def describe(
        self, cluster_id: str, awaited: Collection[str]
    ) -> Sequence[Instance]:
        """Return all of the cluster's servers, in one request."""
        return await self.find(cluster_id=cluster_id)

    async def finish(self, instances: Sequence[Instance]) -> Sequence[Instance]:
        """Give servers their floating address, where they were promised one."""
        finished: list[Instance] = []
        async with self._calls() as calls:
            for instance in instances:
                if isinstance(instance, Server) and instance.floating:
                    async with self._addressing.get():
                        instance = await with_floating_address(calls, instance)
                finished.append(instance)
        return finished

    async def terminate(self, ids: Sequence[str]) -> None:
        """Delete servers, several at a time; those that are gone are success."""

        async def end(calls: Calls, id: str) -> None:
            await delete(calls, "compute", f"/servers/{id}")

        await self._each(ids, end)

    async def pause(self, ids: Sequence[str]) -> None:
        """Stop servers, or shelve them; their disks and addresses stay."""
        verb = "shelve" if self._shelve else "os-stop"
        await self._each(ids, partial(act, verb=verb, reached=InstanceState.PAUSED))

    async def resume(self, ids: Sequence[str]) -> None:
        """Start servers that were stopped or shelved."""
        verb = "unshelve" if self._shelve else "os-start"
        await self._each(ids, partial(act, verb=verb, reached=InstanceState.RUNNING))

    async def retag(self, ids: Sequence[str], *, repository: str) -> None:
        """Write another repository's id into the metadata, once servers are built."""
        told = {f"{PREFIX}repository": repository}

        await self._each(ids, partial(write_metadata, told=told))

    async def host_keys(self, ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return the keys that cloud-init prints on the console at the first boot."""
        shown: dict[str, Sequence[str]] = {}

        async def read(calls: Calls, id: str) -> None:
            try:
                answer = await calls.send(
                    "compute",
                    "POST",
                    f"/servers/{id}/action",
                    json={"os-getConsoleOutput": {}},
                )
            except InvalidRequestError as error:
                if error.code not in ("400", "404"):
                    raise
                return
            if keys := host_keys_in(answer.get("output") or ""):
                shown[id] = keys

        await self._each(ids, read)
        return shown

    # What they share

    async def _each(
        self,
        ids: Sequence[str],
        work: Callable[[Calls, str], Coroutine[Any, Any, None]],
    ) -> None:
        async with self._calls() as calls:
            await each(ids, partial(work, calls), self._limiter.get())

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Keep connections for the block."""
        async with self._calls():
            yield

    @asynccontextmanager
    async def _calling(self) -> AsyncIterator[Calls]:
        """Use the cloud; the SDK is imported in a thread, which takes it a while."""
        if self._kept is None:
            make = await _in_thread(_load_calls)
            self._kept = make(self._target)
        async with self._kept.connected() as calls:
            yield calls


def _load_calls() -> Callable[[Target], Calls]:
    from aioelasticluster.providers.openstack.connection import Calls

    return Calls
