"""A plain client for the server's own tests: it sends what it is told, once."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.clouds.endpoint import eventually
from tests.clouds.gce.running import GceEndpoint

#: How long (seconds) the cloud may take to get somewhere.
PATIENCE = 20.0

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class RefusedError(Exception):
    """The cloud said no."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        error = body["error"]
        super().__init__(f"{status} {error}")
        self.status, self.message = status, error["message"]
        self.reason: str = error["errors"][0]["reason"]
        self.details = error.get("details", [])


@dataclass(frozen=True, slots=True)
class Api:
    """The API as one project sees it."""

    endpoint: GceEndpoint
    project: str
    token: str

    @classmethod
    def of(cls, endpoint: GceEndpoint, name: str = "first") -> Api:
        """Return the API for the first or the other project's user."""
        user = endpoint.credentials()[f"{name}-user"]
        form = {
            part: user[part] for part in ("client_id", "client_secret", "refresh_token")
        }
        data = urlencode({"grant_type": "refresh_token", **form}).encode()
        with _opener.open(user["token_uri"], data) as answer:
            token = json.load(answer)["access_token"]
        return cls(endpoint, user["quota_project_id"], token)

    def ask(self, verb: str, path: str, body: object = None, **query: Any) -> Any:
        """Send a request about the project's resources; raise `RefusedError`."""
        return self.ask_root(verb, f"projects/{self.project}/{path}", body, **query)

    def ask_root(self, verb: str, path: str, body: object = None, **query: Any) -> Any:
        """Send a request about anything; raise `RefusedError`."""
        known = {
            name: str(value).lower() if isinstance(value, bool) else value
            for name, value in query.items()
        }
        request = urllib.request.Request(
            f"{self.endpoint.api_root}{path}"
            + (f"?{urlencode(known)}" if known else ""),
            method=verb,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}"},
        )
        try:
            with _opener.open(request, timeout=PATIENCE) as answer:
                text = answer.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as fault:
            with fault:
                raise RefusedError(fault.code, json.load(fault)) from fault

    @property
    def zone(self) -> str:
        """The path of the usual zone."""
        return f"zones/{self.endpoint.zone}"

    def done(self, operation: Mapping[str, Any]) -> Any:
        """Wait for an operation, however it ends."""
        path = operation["selfLink"].removeprefix(self.endpoint.api_root)
        return self.ask_root("POST", f"{path}/wait")

    def launch(self, *names: str, **query: Any) -> Any:
        """Order instances in the usual zone and wait for the operation's end."""
        return self.done(self.order(*names, **query))

    def order(self, *names: str, count: int = 0, **query: Any) -> Any:
        """Order instances in the usual zone: the operation."""
        order = bulk(self.endpoint, names)
        if count:
            order["minCount"] = str(count)
        return self.ask("POST", f"{self.zone}/instances/bulkInsert", order, **query)

    def insert(self, name: str, *, request: str = "", **more: Any) -> Any:
        """Make one instance in the usual zone and wait for the operation's end."""
        query = {"requestId": request} if request else {}
        order = single(self.endpoint, name, **more)
        return self.done(self.ask("POST", f"{self.zone}/instances", order, **query))

    def get(self, name: str) -> Any:
        """Return an instance of the usual zone."""
        return self.ask("GET", f"{self.zone}/instances/{name}")

    def names(self, **query: Any) -> list[str]:
        """Return the names of the usual zone's instances."""
        found = self.ask("GET", f"{self.zone}/instances", **query)
        return [one["name"] for one in found.get("items", ())]

    def act(self, name: str, verb: str, body: object = None) -> Any:
        """Do something with an instance of the usual zone: the operation."""
        return self.ask("POST", f"{self.zone}/instances/{name}/{verb}", body)

    def delete(self, name: str) -> Any:
        """Delete an instance of the usual zone and wait for its end."""
        return self.done(self.ask("DELETE", f"{self.zone}/instances/{name}"))

    def becomes(self, name: str, state: str) -> None:
        """Wait until an instance is in a state."""
        eventually(lambda: self.get(name)["status"] == state)


def properties(endpoint: GceEndpoint, **more: Any) -> dict[str, Any]:
    """Return what instances of a bulk are to be."""
    image = {"sourceImage": endpoint.image_id}
    access = {"type": "ONE_TO_ONE_NAT", "name": "External NAT"}
    return {
        "machineType": endpoint.flavor,
        "disks": [{"boot": True, "autoDelete": True, "initializeParams": image}],
        "networkInterfaces": [
            {"network": "global/networks/default", "accessConfigs": [access]}
        ],
        **more,
    }


def bulk(endpoint: GceEndpoint, names: Iterable[str], **more: Any) -> dict[str, Any]:
    """Return an order of instances with given names."""
    single = {name: {"name": name} for name in names}
    return {
        "count": str(len(single)),
        "perInstanceProperties": single,
        "instanceProperties": properties(endpoint, **more),
    }


def single(endpoint: GceEndpoint, name: str, **more: Any) -> dict[str, Any]:
    """Return an order of one instance."""
    machine = f"zones/{endpoint.zone}/machineTypes/{endpoint.flavor}"
    return {"name": name, **properties(endpoint), "machineType": machine, **more}


def metadata(**items: str) -> dict[str, Any]:
    """Return metadata as orders have them; `_` in names stands for `-`."""
    found = [
        {"key": key.replace("_", "-"), "value": value} for key, value in items.items()
    ]
    return {"items": found}


def codes(operation: Mapping[str, Any]) -> list[str]:
    """Return the codes with which an operation failed."""
    return [one["code"] for one in operation.get("error", {}).get("errors", ())]
