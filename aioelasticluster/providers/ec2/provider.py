"""EC2 as a provider, for AWS and for whatever else speaks its API."""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

import anyio

from aioelasticluster._aio.blocking import Blocking
from aioelasticluster._aio.loop_local import LoopLocal
from aioelasticluster._aio.shared import Shared
from aioelasticluster._aio.tasks import each
from aioelasticluster.errors import (
    CapacityError,
    ConfigurationError,
    TransientError,
    UnknownOutcomeError,
    UnsupportedError,
)
from aioelasticluster.model.capabilities import Capabilities
from aioelasticluster.model.records import NodeSpec
from aioelasticluster.model.tags import PREFIX, SCHEMA
from aioelasticluster.providers.base import (
    AbstractCloudProvider,
    Instance,
    InstanceState,
    Launched,
    LaunchOrder,
    Preparation,
)
from aioelasticluster.providers.ec2.launching import run_instances
from aioelasticluster.providers.ec2.listing import (
    EXISTING,
    Ec2Instance,
    chunks,
    instances_of,
    wanted,
)
from aioelasticluster.providers.ec2.naming import (
    CLUSTER_ID,
    SCHEMA_TAG,
    TOKEN,
    tag_list,
)
from aioelasticluster.providers.ec2.options import USER_DATA_LIMIT, Ec2Options
from aioelasticluster.providers.ec2.poller import Wanted, poller_of
from aioelasticluster.providers.ec2.requests import (
    change_known,
    described,
    keys_on_console,
    listed,
)
from aioelasticluster.providers.ec2.target import Target
from aioelasticluster.providers.options import check_user_data, placed

if TYPE_CHECKING:
    from aioelasticluster.providers.ec2.calls import Calls

#: Most ids in one request: about so many fit easily.
IDS = 1000

#: Seconds between two requests of the one poller of an account and region.
POLL_INTERVAL = 1.0

#: Consoles that are read at a time.
CONSOLES = 16

_in_thread = Blocking(width=1, patience=60.0)


class BotoCloudProvider(AbstractCloudProvider):
    """Instances of Amazon EC2 (`url=None`), or of an endpoint that speaks its API.

    Without keys the credentials are found as botocore finds them: environment,
    `profile` (also single sign-on), the instance's role. `vpc`, an id or a name, is
    where security groups are looked up if no subnet tells; the other arguments are the
    options of this name for nodes that do not give their own. The options are those
    of `Ec2Options`.
    """

    adapter: ClassVar[str] = "ec2"
    capabilities = Capabilities(pause=True, cloud_host_keys=True, tokens=True)
    max_batch = 100  # AWS advises five requests of 100 rather than one of 500
    settle_window = 60.0
    launch_patience = 120.0
    poll_pauses = (3.0, 1.6)  # none runs at once; a hundred are ready together
    end_pauses = (2.0, 8.0)

    #: Whether the endpoint launches a part of an order where the rest does not fit;
    #: some launch the least number that is asked for, never more.
    fills_in_part: ClassVar[bool] = True

    def __init__(
        self,
        url: str | None,
        region: str,
        access_key: str | None = None,
        secret_key: str | None = None,
        *,
        session_token: str | None = None,
        profile: str | None = None,
        vpc: str = "",
        request_floating_ip: bool = False,
        instance_profile: str = "",
        price: float = 0.0,
    ) -> None:
        if find_spec("aiobotocore") is None:
            raise UnsupportedError(
                "BotoCloudProvider needs aiobotocore: "
                "pip install 'aioelasticluster[ec2]'"
            )
        _check_arguments(url, region, access_key, secret_key)
        self._target = Target(
            url=url or None,
            region=region,
            access_key=access_key,
            secret_key=secret_key,
            session_token=session_token,
            profile=profile,
        )
        self._vpc = vpc
        self._defaults = {
            "request_floating_ip": request_floating_ip,
            "instance_profile": instance_profile,
            "price": price,
        }
        self._calls = Shared(self._calling)
        self._addressing = LoopLocal(anyio.Lock)

    def __repr__(self) -> str:
        return f"BotoCloudProvider({self._target.url!r}, {self._target.region!r})"

    def settings(self) -> Mapping[str, Any]:
        """Return the arguments, without keys: botocore finds them, or the caller."""
        given = {"profile": self._target.profile, "vpc": self._vpc, **self._defaults}
        return {
            "url": self._target.url,
            "region": self._target.region,
            **{name: value for name, value in given.items() if value},
        }

    # What needs no network

    def check_options(self, spec: NodeSpec) -> None:
        """Raise `ConfigurationError` for options, or user-data, that EC2 refuses."""
        Ec2Options.of(self._complete(spec))
        check_user_data(spec, USER_DATA_LIMIT)

    def zones(self, spec: NodeSpec) -> Sequence[str]:
        """Return the places to try: zone or subnet, and maybe another flavor."""
        return Ec2Options.of(self._complete(spec)).places()

    def _complete(self, spec: NodeSpec) -> NodeSpec:
        """Return a spec with the provider's own options where it has none."""
        given = {name: value for name, value in self._defaults.items() if value}
        return replace(spec, options={**given, **spec.options})

    # Requests

    async def identity(self) -> str:
        """Return partition or URL, region and account.

        An endpoint of its own may lack AWS's token service, so there the account is
        the owner of the default security group.
        """
        async with self._calls() as calls:
            if self._target.url is None:
                caller = await calls("GetCallerIdentity")
                _, partition, *_ = caller["Arn"].split(":")
                return f"{partition}:{self._target.region}:{caller['Account']}"
            answer = await calls(
                "DescribeSecurityGroups", Filters=[wanted("group-name", "default")]
            )
            owners = {group["OwnerId"] for group in answer.get("SecurityGroups", ())}
            account = ",".join(sorted(owners)) or self._target.access_key
            return f"{self._target.url}:{self._target.region}:{account}"

    async def prepare(self, preparation: Preparation) -> Mapping[str, str]:
        """Find image, flavor, networks and groups; import the key if it is missing."""
        from aioelasticluster.providers.ec2.resources import Preparing

        specs = [self._complete(spec) for spec in preparation.specs]
        async with self._calls() as calls:
            return await Preparing(
                calls, replace(preparation, specs=specs), self._vpc
            )()

    async def cleanup(self, cluster_id: str) -> None:
        """Delete the cluster's key pair, groups and addresses."""
        from aioelasticluster.providers.ec2.resources import remove_made

        async with self._calls() as calls:
            await remove_made(calls, cluster_id)

    async def launch(self, order: LaunchOrder) -> Launched:
        """Launch a batch with one RunInstances, its token the request's own.

        EC2 does not say why it launched fewer than asked for: the next order of the
        rest tells.
        """
        from aioelasticluster.providers.ec2.faults import UNDONE

        order = replace(order, spec=self._complete(order.spec))
        count = len(order.names)
        async with self._calls() as calls:
            try:
                answer = await calls.once(
                    "RunInstances",
                    instances=count,
                    **run_instances(order, least=1 if self.fills_in_part else count),
                )
            except CapacityError as error:
                raise placed(error, order) from error.__cause__
            except TransientError as error:
                if error.code not in UNDONE:
                    raise UnknownOutcomeError(str(error)) from error
                raise
            if not answer.get("Instances"):  # a proxy's page, perhaps
                raise UnknownOutcomeError("RunInstances: an answer without instances")
            launched = [i for i in instances_of([answer]) if i.index < count]
            calls.untouched("RunInstances", count - len(launched))
        return Launched(instances=tuple(launched))

    async def find(
        self, *, token: str | None = None, cluster_id: str | None = None
    ) -> Sequence[Instance]:
        """Return the instances of a token, a cluster, or of the whole account."""
        key, value = SCHEMA_TAG, SCHEMA
        if token is not None:
            key, value = TOKEN, token
        elif cluster_id is not None:
            key, value = CLUSTER_ID, cluster_id
        async with self._calls() as calls:
            found = await listed(
                calls,
                wanted(f"tag:{key}", value),
                wanted("instance-state-name", *EXISTING),
            )
        return [
            instance
            for instance in found
            if instance.tags is not None
            and instance.state is not InstanceState.FAILED
            and token in (None, instance.token)
            and cluster_id in (None, instance.tags.cluster_id)
        ]

    async def describe(
        self, cluster_id: str, awaited: Collection[str]
    ) -> Sequence[Instance]:
        """Return the awaited instances of which there is news: all but the pending.

        Clusters of the account that wait at the same time are asked about together.
        """
        poller = poller_of(self._target.account, interval=POLL_INTERVAL)
        ids = frozenset(awaited)
        async with self._calls() as calls:

            async def ask(wants: Wanted) -> Mapping[str, Sequence[Ec2Instance]]:
                return await described(calls, wants)

            found = await poller.ask(cluster_id, ids, ask)
        return [instance for instance in found if instance.id in ids]

    async def finish(self, instances: Sequence[Instance]) -> Sequence[Instance]:
        """Give instances their elastic address, where they were promised one."""
        if not any(_is_elastic(instance) for instance in instances):
            return instances
        from aioelasticluster.providers.ec2.addresses import with_elastic_address

        finished: list[Instance] = []
        async with self._calls() as calls, self._addressing.get():
            for instance in instances:
                if isinstance(instance, Ec2Instance) and instance.elastic:
                    instance = await with_elastic_address(calls, instance)
                finished.append(instance)
        return finished

    async def terminate(self, ids: Sequence[str]) -> None:
        """Terminate in few requests; ids that EC2 does not know are gone."""
        await self._change("TerminateInstances", ids)

    async def pause(self, ids: Sequence[str]) -> None:
        """Stop instances; their disks stay, their public addresses do not."""
        await self._change("StopInstances", ids)

    async def resume(self, ids: Sequence[str]) -> None:
        """Start stopped instances."""
        await self._change("StartInstances", ids)

    async def retag(self, ids: Sequence[str], *, repository: str) -> None:
        """Write another repository's id into the tags."""
        tags = tag_list({f"{PREFIX}repository": repository})
        async with self._calls() as calls:
            for some in chunks(ids, IDS):
                await calls("CreateTags", Resources=some, Tags=tags)

    async def host_keys(self, ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return the keys that cloud-init prints on the console at the first boot.

        EC2 shows that some minutes after it.
        """
        shown: dict[str, Sequence[str]] = {}
        async with self._calls() as calls:

            async def read(id: str) -> None:
                if keys := await keys_on_console(calls, id):
                    shown[id] = keys

            await each(ids, read, anyio.CapacityLimiter(CONSOLES))
        return shown

    # What they share

    async def _change(self, action: str, ids: Sequence[str]) -> None:
        async with self._calls() as calls:
            for some in chunks(ids, IDS):
                await change_known(calls, action, some)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Keep the client for the block."""
        async with self._calls():
            yield

    @asynccontextmanager
    async def _calling(self) -> AsyncIterator[Calls]:
        """Open a client; botocore is imported and warmed up in a thread."""
        calling = await _in_thread(_load_calling)
        async with calling(self._target) as calls:
            yield calls


def _load_calling() -> Callable[[Target], AbstractAsyncContextManager[Calls]]:
    from aioelasticluster.providers.ec2.calls import calling
    from aioelasticluster.providers.ec2.loading import warm_up

    warm_up()
    return calling


def _check_arguments(
    url: str | None, region: str, access_key: str | None, secret_key: str | None
) -> None:
    """Raise `ConfigurationError` for arguments with which no request can be made."""
    if url and urlsplit(url).scheme not in ("http", "https"):
        raise ConfigurationError(
            "url", url, "not an address of an endpoint", "Give http[s]://…, or None"
        )
    if not region or not isinstance(region, str):
        raise ConfigurationError(
            "region", region, "EC2 needs one", "Give a name such as eu-central-1"
        )
    if bool(access_key) != bool(secret_key):
        absent = "secret_key" if access_key else "access_key"
        raise ConfigurationError(
            absent, None, "keys come in pairs", "Give both, or none of them"
        )


def _is_elastic(instance: Instance) -> bool:
    return isinstance(instance, Ec2Instance) and instance.elastic
