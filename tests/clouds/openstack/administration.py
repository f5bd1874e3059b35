"""Asks the services as their administrator, beside what users ask and uncounted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote

from keystoneauth1.adapter import Adapter
from keystoneauth1.identity.v3 import Password
from keystoneauth1.session import Session

#: The version of nova's API in which its answers are read here.
_MICROVERSION = "2.90"

#: The quotas that neutron keeps, and its names for them; all others are nova's.
_NETWORK_QUOTAS = {
    "floating_ips": "floatingip",
    "networks": "network",
    "ports": "port",
    "security_groups": "security_group",
    "security_group_rules": "security_group_rule",
}

#: Who owns the ports that neutron or nova make for something else.
_OWNED = ("network:", "compute:")

Facts = dict[str, Any]


class Administration:
    """What an administrator can see and do. Methods block."""

    def __init__(self, auth: Mapping[str, Any], users: tuple[str, ...]) -> None:
        self._session = Session(auth=Password(**auth))
        self._users = users

    def close(self) -> None:
        """Close the connections."""
        self._session.session.close()

    def _ask(
        self, service: str, method: str, path: str, body: object = None, **query: str
    ) -> Any:
        """Return an answer's body; what is to be deleted may be gone already."""
        answer = Adapter(
            self._session,
            service_type=service,
            interface="internal",
            default_microversion=_MICROVERSION if service == "compute" else None,
        ).request(path, method, json=body, params=query, raise_exc=False)
        if answer.status_code >= 400 and (method, answer.status_code) != (
            "DELETE",
            404,
        ):
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.text else None

    @cached_property
    def projects(self) -> Mapping[str, str]:
        """The names of the users' projects, by id."""
        found = self._ask("identity", "GET", "/projects")["projects"]
        return {one["id"]: one["name"] for one in found if one["name"] in self._users}

    @cached_property
    def _user_ids(self) -> Mapping[str, str]:
        found = self._ask("identity", "GET", "/users")["users"]
        return {one["name"]: one["id"] for one in found}

    def project_id(self, name: str) -> str:
        """Return the id of a user's project."""
        return next(ident for ident, found in self.projects.items() if found == name)

    def servers(self, *, deleted_since: datetime | None = None) -> list[Facts]:
        """Return all projects' servers as nova tells of them: living, or deleted ones.

        Nova remembers all that it ever deleted, and takes its time to tell of them:
        so it is only asked for those of late.
        """
        query = {"all_tenants": "1", "limit": "1000"}
        if deleted_since is not None:
            query["deleted"] = "True"
            query["changes-since"] = deleted_since.isoformat()
        answer = self._ask("compute", "GET", "/servers/detail", **query)
        return list(answer["servers"])

    def delete_server(self, ident: str) -> None:
        """Begin to delete a server."""
        self._ask("compute", "DELETE", f"/servers/{ident}")

    def resources(self) -> dict[str, list[Facts]]:
        """Return by kind what users have beside servers, as the services tell of it."""
        return {
            "floating_ips": self._network("floatingips"),
            "ports": [
                one
                for one in self._network("ports")
                if not (one["device_id"] or one["device_owner"].startswith(_OWNED))
            ],
            "networks": self._network("networks"),
            "security_groups": self._network("security-groups"),
            "keypairs": list(self._keypairs()),
            "server_groups": self._server_groups(),
        }

    def _network(self, kind: str) -> list[Facts]:
        answer = self._ask("network", "GET", f"/v2.0/{kind}")
        return list(answer[kind.replace("-", "_")])

    def _keypairs(self) -> Iterator[Facts]:
        """Yield key pairs; they are users', and each user has one project only."""
        for project, name in self.projects.items():
            query = {"user_id": self._user_ids[name]}
            answer = self._ask("compute", "GET", "/os-keypairs", **query)
            for one in answer["keypairs"]:
                yield {**one["keypair"], "project_id": project, **query}

    def _server_groups(self) -> list[Facts]:
        answer = self._ask("compute", "GET", "/os-server-groups", all_projects="True")
        return list(answer["server_groups"])

    def delete(self, kind: str, one: Facts) -> None:
        """Delete a resource of one of the kinds."""
        if kind == "keypairs":
            path = f"/os-keypairs/{quote(one['name'], safe='')}"
            self._ask("compute", "DELETE", path, user_id=one["user_id"])
        elif kind == "server_groups":
            self._ask("compute", "DELETE", f"/os-server-groups/{one['id']}")
        else:
            path = kind.replace("_ip", "ip").replace("_", "-")
            self._ask("network", "DELETE", f"/v2.0/{path}/{one['id']}")

    def set_quota(self, project: str, limits: Mapping[str, int]) -> None:
        """Limit a project, even below what it uses."""
        network = {
            _NETWORK_QUOTAS[name]: limit
            for name, limit in limits.items()
            if name in _NETWORK_QUOTAS
        }
        compute = {
            name: limit for name, limit in limits.items() if name not in _NETWORK_QUOTAS
        }
        if network:
            self._ask("network", "PUT", f"/v2.0/quotas/{project}", {"quota": network})
        if compute:
            body = {"quota_set": {"force": True, **compute}}
            self._ask("compute", "PUT", f"/os-quota-sets/{project}", body)

    def forget_quota(self, project: str) -> None:
        """Limit a project as all are."""
        self._ask("network", "DELETE", f"/v2.0/quotas/{project}")
        self._ask("compute", "DELETE", f"/os-quota-sets/{project}")
