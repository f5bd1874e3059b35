"""botocore without stalls: it loads and parses in threads, and lets the loop run.

Its model of EC2 is five megabytes of JSON, and a reply about a thousand instances
takes it most of a second (measured): neither belongs on the caller's loop. Of the
model's 800 actions those that we use are kept; all of them together cost 25 MB, and
every full garbage collection of the process 30 ms. So it is with the endpoints of some
300 services: 16,000 dictionaries, 10 ms.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from aiobotocore.parsers import AioEC2QueryParser, AioResponseParserFactory
from aiobotocore.session import AioSession
from botocore.loaders import Loader

from aioelasticluster._aio.blocking import Blocking

#: The actions of EC2 that we use.
ACTIONS = frozenset(
    {
        "AllocateAddress",
        "AssociateAddress",
        "AuthorizeSecurityGroupIngress",
        "CreatePlacementGroup",
        "CreateSecurityGroup",
        "CreateTags",
        "DeleteKeyPair",
        "DeletePlacementGroup",
        "DeleteSecurityGroup",
        "DescribeAddresses",
        "DescribeAvailabilityZones",
        "DescribeImages",
        "DescribeInstances",
        "DescribeInstanceTypeOfferings",
        "DescribeKeyPairs",
        "DescribePlacementGroups",
        "DescribeSecurityGroups",
        "DescribeSubnets",
        "DescribeTags",
        "DescribeVpcs",
        "GetConsoleOutput",
        "ImportKeyPair",
        "ReleaseAddress",
        "RunInstances",
        "StartInstances",
        "StopInstances",
        "TerminateInstances",
    }
)

#: The services that we use: EC2, and those that credentials come from.
SERVICES = frozenset({"ec2", "oidc", "portal.sso", "sts"})

#: Replies from this size (bytes) on are parsed in a thread: 10 ms and more.
LARGE = 64 * 1024

_in_thread = Blocking(width=2, patience=60.0)


class _GivingWay:
    """Reads botocore's data files; made for threads.

    The decoder would hold the interpreter's lock for the whole of a file. A hook in
    Python lets other threads have it in between.
    """

    def exists(self, path: str) -> bool:
        """Whether there is such a file; botocore gives names without their ending."""
        return any(file.is_file() for file in _files(path))

    def load_file(self, path: str) -> Any:
        """Return what a file holds, None if it does not exist."""
        for file in _files(path):
            if file.is_file():
                data = file.read_bytes()
                text = gzip.decompress(data) if file.suffix == ".gz" else data
                found = json.loads(text, object_pairs_hook=lambda pairs: dict(pairs))
                is_ec2 = found.get("metadata", {}).get("serviceId") == "EC2"
                if is_ec2 and "shapes" in found:
                    return _trimmed(found)
                _trim_endpoints(found)
                return found
        return None


def _trim_endpoints(data: dict[str, Any]) -> None:
    """Keep the services that we use, if this is the list of all services' endpoints."""
    for partition in data.get("partitions", ()):
        if services := partition.get("services"):
            kept = SERVICES.intersection(services)
            partition["services"] = {name: services[name] for name in sorted(kept)}


def _trimmed(model: dict[str, Any]) -> dict[str, Any]:
    """Return a service's model with our actions, and what they are made of."""
    actions = {name: model["operations"][name] for name in sorted(ACTIONS)}
    shapes: dict[str, Any] = {}
    pending = list(_shapes_in(actions))
    while pending:
        name = pending.pop()
        if name not in shapes:
            shapes[name] = model["shapes"][name]
            pending += _shapes_in(shapes[name])
    return {**model, "operations": actions, "shapes": shapes}


def _shapes_in(part: object) -> Iterator[str]:
    """Yield the names of the shapes that a part of a model refers to."""
    for key, value in part.items() if isinstance(part, dict) else ():
        if key == "shape" and isinstance(value, str):
            yield value
        else:
            yield from _shapes_in(value)


def _files(path: str) -> tuple[Path, Path]:
    return Path(f"{path}.json"), Path(f"{path}.json.gz")


class _ThreadedParser(AioEC2QueryParser):  # type: ignore[misc]
    """Parses large replies in a thread."""

    def _do_parse(
        self, response: dict[str, Any], shape: Any
    ) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        parse = super()._do_parse
        if len(response["body"]) < LARGE:
            return parse(response, shape)  # type: ignore[no-any-return]
        return _in_thread(parse, response, shape)


class _ParserFactory(AioResponseParserFactory):  # type: ignore[misc]
    def create_parser(self, protocol: str) -> Any:
        if protocol == "ec2":
            return _ThreadedParser(**self._defaults)
        return super().create_parser(protocol)


#: One for the process: what was loaded is there for every client.
_loader = Loader(file_loader=_GivingWay())


@cache
def warm_up() -> None:
    """Load, in the calling thread, all that the first client would load on the loop.

    It makes one, of which no request is ever sent.
    """

    async def make() -> None:
        session = new_session(None)
        async with session.create_client(
            "ec2",
            region_name="us-east-1",
            endpoint_url="http://127.0.0.1",
            aws_access_key_id="none",
            aws_secret_access_key="none",
        ):
            pass

    asyncio.run(make())


def new_session(profile: str | None) -> AioSession:
    """Return a session whose clients hold nobody up; made for threads.

    The user's files for AWS are read here: on a network drive that takes long.
    """
    session = AioSession(profile=profile)
    session.register_component("data_loader", _loader)
    session.register_component("response_parser_factory", _ParserFactory())
    _ = session.full_config  # kept by the session
    return session
