"""Runs the server for tests and benchmarks, and asks it what it saw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.clouds.ec2.catalogue import FLAVORS, IMAGE_ID, REGION, zones
from tests.clouds.ec2.credentials import FIRST, OTHER
from tests.clouds.endpoint import Endpoint, running_server, why_no_hosts

__all__ = ["Ec2Endpoint", "running_ec2", "why_no_hosts"]

#: The states of instances that cost money.
ALIVE = ("pending", "running", "stopping", "stopped")


@dataclass(frozen=True, slots=True)
class Ec2Endpoint(Endpoint):
    """A running server. Methods block, for milliseconds, and count as no requests."""

    access_key: str = FIRST.id
    secret_key: str = FIRST.secret
    account: str = FIRST.account
    other_access_key: str = OTHER.id
    other_secret_key: str = OTHER.secret
    other_account: str = OTHER.account
    region: str = REGION
    image_id: str = IMAGE_ID
    #: The image's login.
    login: str = "debian"
    flavor: str = "c5.large"
    flavors: tuple[str, ...] = tuple(FLAVORS)
    zones: tuple[str, ...] = zones(REGION)

    def node(self) -> dict[str, Any]:
        return {
            "image_id": self.image_id,
            "image_user": self.login,
            "flavor": self.flavor,
            "security_group": "default",
        }

    def alive(self) -> set[str]:
        return {one["id"] for one in self.instances(*ALIVE)}

    def running(self) -> dict[str, set[str]]:
        return {
            one["id"]: {one["address"], one["public_address"]}
            for one in self.instances("running")
        }

    def made(self) -> dict[str, list[str]]:
        kinds = ("key_pairs", "groups", "addresses", "placement_groups")
        return {
            kind: one[kind]
            for one in self.resources()
            if (one["account"], one["region"]) == (self.account, self.region)
            for kind in kinds
            if one[kind]
        }

    def launches(self) -> list[dict[str, Any]]:
        return self.requests("RunInstances")


@contextmanager
def running_ec2(
    *,
    hosts: bool = False,
    region: str = REGION,
    key: tuple[str, str] = (FIRST.id, FIRST.secret),
    **behaviour: Any,
) -> Iterator[Ec2Endpoint]:
    """Run a server for the block; it ends with the block, whatever happens.

    With `hosts`, each running instance is a real SSH server at its address, port 22.
    It has the `region`, and the first account the access `key`, beside the usual ones.
    """
    options = [f"--region={region}"] if region != REGION else []
    if key != (FIRST.id, FIRST.secret):
        options.append(f"--key={':'.join(key)}")
    with running_server("tests.clouds.ec2.server", options, hosts=hosts) as started:
        endpoint = Ec2Endpoint(
            **started,
            access_key=key[0],
            secret_key=key[1],
            region=region,
            zones=zones(region),
        )
        if behaviour:
            endpoint.behave(**behaviour)
        yield endpoint
