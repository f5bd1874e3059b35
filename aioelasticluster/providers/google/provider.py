"""Google Compute Engine as a provider: REST requests on the caller's loop."""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

import anyio

from aioelasticluster._aio.blocking import Blocking
from aioelasticluster._aio.loop_local import LoopLocal
from aioelasticluster._aio.shared import Shared
from aioelasticluster.errors import (
    CapacityError,
    ConfigurationError,
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
    Launched,
    LaunchOrder,
    Preparation,
)
from aioelasticluster.providers.google.acting import (
    Turn,
    delete,
    for_all,
    pausing,
    resuming,
    turn,
)
from aioelasticluster.providers.google.launching import bulk_insert
from aioelasticluster.providers.google.listing import listed
from aioelasticluster.providers.google.naming import (
    CLUSTER_LABEL,
    SCHEMA_LABEL,
    TOKEN_LABEL,
    is_zone,
    path_of,
    token_id,
)
from aioelasticluster.providers.google.options import USER_DATA_LIMIT, GoogleOptions
from aioelasticluster.providers.google.outcome import outcome
from aioelasticluster.providers.google.resources import Preparing, remove_made
from aioelasticluster.providers.google.target import API_ROOT, Target
from aioelasticluster.providers.host_keys import host_keys_in
from aioelasticluster.providers.options import Place, check_user_data, placed

if TYPE_CHECKING:
    from aioelasticluster.providers.google.calls import Calls

#: Requests about single instances at a time.
WIDTH = 24

_in_thread = Blocking(width=1, patience=60.0)


class GoogleCloudProvider(AbstractCloudProvider):
    """Instances of a Google Cloud project, in a zone or a region.

    `credentials` is the path of a file with a service account's key, a user's own
    credentials or an external account's; without it they are found as Google's tools
    do (GOOGLE_APPLICATION_CREDENTIALS, gcloud's default, the metadata server).
    `api_root` is where the API is, `…/compute/v1`. `network` holds for nodes that name
    none; the options are those of `GoogleOptions`. `suspend` makes `pause` keep the
    memory, too.
    """

    adapter: ClassVar[str] = "google"
    capabilities = Capabilities(pause=True, cloud_host_keys=True, tokens=True)
    max_batch = 100
    settle_window = 90.0
    launch_patience = 300.0
    poll_pauses = (5.5, 0.6)
    end_pauses = (2.0, 5.0)

    def __init__(
        self,
        project_id: str,
        zone: str,
        *,
        credentials: str | None = None,
        api_root: str | None = None,
        network: str = "",
        suspend: bool = False,
    ) -> None:
        if find_spec("gcloud.aio.auth") is None:
            raise UnsupportedError(
                "GoogleCloudProvider needs gcloud-aio-auth: "
                "pip install 'aioelasticluster[google]'"
            )
        _check_arguments(project_id, zone, credentials, api_root)
        self._target = Target(
            project=project_id,
            api_root=(api_root or API_ROOT).rstrip("/"),
            credentials=str(Path(credentials).expanduser()) if credentials else None,
        )
        self._zone = zone
        self._network = network
        self._suspend = suspend
        self._calls = Shared(self._calling)
        self._limiter = LoopLocal(lambda: anyio.CapacityLimiter(WIDTH))

    def __repr__(self) -> str:
        return f"GoogleCloudProvider({self._target.project!r}, {self._zone!r})"

    def settings(self) -> Mapping[str, Any]:
        """Return the arguments; of the credentials only where they lie."""
        root = self._target.api_root
        given = {
            "credentials": self._target.credentials,
            "api_root": root if root != API_ROOT else None,
            "network": self._network,
            "suspend": self._suspend,
        }
        return {
            "project_id": self._target.project,
            "zone": self._zone,
            **{name: value for name, value in given.items() if value},
        }

    # What needs no network

    def check_options(self, spec: NodeSpec) -> None:
        """Raise `ConfigurationError` for options, or user-data, that Google refuses."""
        GoogleOptions.of(self._complete(spec))
        check_user_data(spec, USER_DATA_LIMIT)

    def zones(self, spec: NodeSpec) -> Sequence[str]:
        """Return the places to try: zone or region, and maybe another flavor."""
        return GoogleOptions.of(self._complete(spec)).places(self._zone)

    def _complete(self, spec: NodeSpec) -> NodeSpec:
        """Return a spec with the provider's own network if it names none."""
        if not self._network or "network" in spec.options:
            return spec
        return replace(spec, options={"network": self._network, **spec.options})

    # Requests

    async def identity(self) -> str:
        """Return the API's root and the project, which the credentials must show."""
        async with self._calls() as calls:
            project = await calls.get("", fields="id,name")
        return f"{self._target.api_root}:{self._target.project}:{project['id']}"

    async def prepare(self, preparation: Preparation) -> Mapping[str, str]:
        """Find zone, image, flavor and network; make firewall rules on request."""
        specs = [self._complete(spec) for spec in preparation.specs]
        wanted = replace(preparation, specs=specs)
        async with self._calls() as calls:
            return await Preparing(calls, wanted, self._zone)()

    async def cleanup(self, cluster_id: str) -> None:
        """Delete the cluster's firewall rules."""
        async with self._calls() as calls:
            await remove_made(calls, cluster_id)

    async def launch(self, order: LaunchOrder) -> Launched:
        """Launch a batch with one bulk request, and wait until Google has made it.

        The order's token is the request's id, and the names are given: a repetition
        is the same operation.
        """
        from aioelasticluster.providers.google.calls import done

        order = replace(order, spec=self._complete(order.spec))
        place = Place.parsed(order.zone)
        scope = "zones" if is_zone(place.where) else "regions"
        async with self._calls() as calls:
            try:
                operation = await calls.once(
                    "POST",
                    f"/{scope}/{place.where}/instances/bulkInsert",
                    bulk_insert(order),
                    requestId=token_id(order.token),
                )
            except TransientError as error:
                if error.code and error.code != "503":
                    raise UnknownOutcomeError(str(error)) from error
                raise
            except CapacityError as error:
                raise placed(error, order) from error.__cause__
            try:
                ended = await done(calls, operation)
            except ProviderError as error:  # Google has accepted it, whatever comes
                raise UnknownOutcomeError(str(error)) from error
            return await outcome(calls, ended, order, self.settle_window)

    async def find(
        self, *, token: str | None = None, cluster_id: str | None = None
    ) -> Sequence[Instance]:
        """Return the instances of a token, a cluster, or of the whole project."""
        wanted = {SCHEMA_LABEL: "1"}
        if token is not None:
            wanted = {TOKEN_LABEL: token}
        elif cluster_id is not None:
            wanted = {CLUSTER_LABEL: cluster_id}
        async with self._calls() as calls:
            found = await listed(calls, **wanted)
        return [instance for instance in found if instance.tags is not None]

    async def describe(
        self, cluster_id: str, awaited: Collection[str]
    ) -> Sequence[Instance]:
        """Return all of the cluster's instances, in one list."""
        return await self.find(cluster_id=cluster_id)

    async def terminate(self, ids: Sequence[str]) -> None:
        """Delete instances and their disks, several at a time.

        Repeated for one that did not end, it raises why, or deletes it anew.
        """
        async with self._calls() as calls:
            await self._for_all(ids, partial(delete, calls))

    async def pause(self, ids: Sequence[str]) -> None:
        """Stop instances, or suspend them; their disks stay, addresses may not."""
        await self._turn(ids, pausing(suspend=self._suspend))

    async def resume(self, ids: Sequence[str]) -> None:
        """Start instances that were stopped, resume those that were suspended."""
        await self._turn(ids, resuming(suspend=self._suspend))

    async def _turn(self, ids: Sequence[str], how: Turn) -> None:
        async with self._calls() as calls:
            await turn(calls, ids, how, limiter=self._limiter.get())

    async def retag(self, ids: Sequence[str], *, repository: str) -> None:
        """Write another repository's id into the metadata."""

        from aioelasticluster.providers.google.calls import succeeded

        async def write(id: str) -> None:
            instance = await calls.get(path_of(id), fields="metadata")
            metadata = dict(instance["metadata"])
            key = f"{PREFIX}repository"
            items = [each for each in metadata["items"] if each["key"] != key]
            metadata["items"] = [*items, {"key": key, "value": repository}]
            path = f"{path_of(id)}/setMetadata"
            await succeeded(calls, await calls.send("POST", path, metadata))

        async with self._calls() as calls:
            await self._for_all(ids, write)

    async def host_keys(self, ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return the keys in the guest attributes, or on the serial port."""
        shown: dict[str, Sequence[str]] = {}

        async def read(id: str) -> None:
            if keys := await _keys_of(calls, id):
                shown[id] = keys

        async with self._calls() as calls:
            await self._for_all(ids, read)
        return shown

    # What they share

    async def _for_all(
        self, ids: Sequence[str], work: Callable[[str], Awaitable[None]]
    ) -> None:
        await for_all(ids, work, limiter=self._limiter.get())

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Keep the session for the block."""
        async with self._calls():
            yield

    @asynccontextmanager
    async def _calling(self) -> AsyncIterator[Calls]:
        """Open a session; what it needs is imported in a thread."""
        calling = await _in_thread(_load_calling)
        async with calling(self._target) as calls:
            yield calls


def _check_arguments(
    project_id: str, zone: str, credentials: str | None, api_root: str | None
) -> None:
    """Raise `ConfigurationError` for arguments with which no request can be made."""
    for field, value in (("project_id", project_id), ("zone", zone)):
        if not value or not isinstance(value, str):
            raise ConfigurationError(field, value, "Google needs one", "Give its name")
    if credentials and not Path(credentials).expanduser().is_file():
        raise ConfigurationError(
            "credentials", credentials, "no such file", "Give a JSON file, or None"
        )
    if api_root and urlsplit(api_root).scheme not in ("http", "https"):
        raise ConfigurationError(
            "api_root", api_root, "not an address", "Give http[s]://…/compute/v1"
        )


def _load_calling() -> Callable[[Target], AbstractAsyncContextManager[Calls]]:
    from aioelasticluster.providers.google.calls import calling

    return calling


async def _keys_of(calls: Calls, id: str) -> Sequence[str]:
    from aioelasticluster.providers.google.calls import missing_is_none

    path = path_of(id)
    attributes = await missing_is_none(
        calls.get(f"{path}/getGuestAttributes", queryPath="hostkeys/")
    )
    items = (attributes or {}).get("queryValue", {}).get("items", ())
    if items:
        return [f"{item['key']} {item['value'].split()[0]}" for item in items]
    console = await missing_is_none(calls.get(f"{path}/serialPort", port="1"))
    return host_keys_in((console or {}).get("contents", ""))
