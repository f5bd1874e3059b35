"""What an ordinary user does with the SDK, in the few words that tests need."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openstack

from tests.clouds.openstack.rig import OpenStackRig

#: How long (seconds) servers may take, on a busy machine.
_PATIENCE = 50.0


class User:
    """A user with a connection; what it is looks up once."""

    def __init__(self, rig: OpenStackRig, name: str, **options: Any) -> None:
        self.rig = rig
        self.sdk: Any = openstack.connect(
            **rig.credentials(name),
            load_yaml_config=False,
            load_envvars=False,
            **options,
        )
        compute = self.sdk.compute
        self._flavors = {one.name: one.id for one in compute.flavors()}
        self._image = next(self.sdk.image.images(name=rig.image)).id
        self._network = next(self.sdk.network.networks(name=rig.private_network)).id

    def launch(
        self, name: str, count: int = 1, flavor: str = "", **more: Any
    ) -> list[Any]:
        """Ask for servers and return nova's answer once."""
        if "user_data" in more:
            more["user_data"] = base64.b64encode(more["user_data"].encode()).decode()
        body = {
            "name": name,
            "imageRef": self._image,
            "flavorRef": self._flavors[flavor or self.rig.flavor],
            "networks": [{"uuid": self._network}],
            "min_count": count,
            "max_count": count,
            **more,
        }
        answer = self.sdk.compute.post(
            "/servers", json={"server": body}, microversion="2.90"
        )
        openstack.exceptions.raise_from_response(answer)
        return [answer.json()["server"]]

    def listed(self, **query: str) -> list[dict[str, Any]]:
        """Return the servers that nova lists."""
        answer = self.sdk.compute.get(
            "/servers/detail", params=query, microversion="2.90"
        )
        openstack.exceptions.raise_from_response(answer)
        found: list[dict[str, Any]] = answer.json()["servers"]
        return found

    def becomes(self, status: str, **query: str) -> list[dict[str, Any]]:
        """Wait until all servers that are listed have a status; return them."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            found = self.listed(**query)
            if all(one["status"] == status for one in found):
                return found
            time.sleep(0.2)
        raise TimeoutError(f"not {status}: {found}")


@contextmanager
def user(rig: OpenStackRig, name: str = "demo", **options: Any) -> Iterator[User]:
    """Be a user for the block; `options` are those of `openstack.connect`."""
    found = User(rig, name, **options)
    try:
        yield found
    finally:
        found.sdk.close()
