"""A running cloud as tests see it: its users, what they asked, what is there."""

from __future__ import annotations

import base64
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.clouds.openstack.administration import Administration, Facts
from tests.clouds.openstack.place import Ports
from tests.clouds.openstack.users import (
    FLAVORS,
    IMAGE,
    PRIVATE,
    PUBLIC,
    REGION,
    USERS,
    login,
)

#: How long (seconds) deleted servers may take to be gone.
_PATIENCE = 60.0

#: In which order users' things can be deleted.
_KINDS = (
    *("floating_ips", "ports", "networks", "security_groups"),
    *("keypairs", "server_groups"),
)

#: What there is before users make anything.
_GIVEN = {"networks": (PRIVATE, PUBLIC), "security_groups": ("default",)}


class OpenStackRig:
    """A running cloud. Methods block, for tenths of seconds, and count as no requests.

    `no_hosts` says why servers cannot be reached by SSH; if it is empty, they can.
    """

    image = IMAGE
    #: The image's login: any that somebody likes.
    login = "debian"
    flavor = "m1.tiny"
    flavors = tuple(FLAVORS)
    #: No host has room for it: its servers end in ERROR.
    too_big = "m1.huge"
    private_network = PRIVATE
    public_network = PUBLIC
    region = REGION
    users = (*USERS, "admin")

    def __init__(
        self,
        *,
        auth_url: str,
        compute_url: str,
        folder: str,
        network: str,
        ports: Mapping[str, Sequence[int]],
        pids: Mapping[str, int],
        no_hosts: str = "",
    ) -> None:
        self.auth_url, self.compute_url = auth_url, compute_url
        self.folder, self.network, self.pids = Path(folder), network, pids
        self.ports = {name: Ports(*pair) for name, pair in ports.items()}
        self.no_hosts = no_hosts
        self._cloud = Administration(self.admin["auth"], self.users)
        self._read: dict[Path, int] = {}
        self._forgotten: set[str] = set()
        self._emptied = datetime.now(UTC)
        self._limited: set[str] = set()

    def credentials(self, user: str = "demo") -> Facts:
        """Return what `openstack.connect(**…)` needs to be a user."""
        return login(self.auth_url, user)

    @property
    def demo(self) -> Facts:
        """The first ordinary user's credentials."""
        return self.credentials("demo")

    @property
    def demo2(self) -> Facts:
        """Credentials of another ordinary user, in another project."""
        return self.credentials("demo2")

    @property
    def admin(self) -> Facts:
        """The administrator's credentials."""
        return self.credentials("admin")

    def variables(self, user: str = "demo") -> dict[str, str]:
        """Return the environment variables that make somebody a user."""
        auth = self.credentials(user)["auth"]
        named = {f"OS_{name.upper()}": value for name, value in auth.items()}
        return {"OS_REGION_NAME": REGION, **named}

    def requests(self, service: str = "", method: str = "") -> list[Facts]:
        """Return the users' requests so far, without what services ask one another.

        Each is a dict: service (keystone, glance, neutron, nova), method, path (with
        the query), status, at, seconds. It is listed when its sender has the answer.
        """
        found = [
            one
            for file in self._request_logs()
            for one in self._requests(file)
            if service in ("", one["service"]) and method in ("", one["method"])
        ]
        return sorted(found, key=lambda one: float(one["at"]))

    def _request_logs(self) -> list[Path]:
        return list((self.folder / "requests").iterdir())

    def _requests(self, file: Path) -> Iterator[Facts]:
        with file.open("rb") as lines:
            lines.seek(self._read.get(file, 0))
            yield from (json.loads(line) for line in lines if line.endswith(b"\n"))

    def forget_requests(self) -> None:
        """Begin the list of requests anew."""
        for file in self._request_logs():
            self._read[file] = file.stat().st_size

    def log(self, service: str) -> str:
        """Return what a service has printed."""
        return (self.folder / "log" / f"{service}.log").read_text(errors="replace")

    def servers(self, *statuses: str) -> list[Facts]:
        """Return all projects' servers since the last reset, also deleted ones.

        Each is a dict: id, name, status, project, created, deleted (bool), host,
        addresses, key, tags, metadata, fault (a message or ""), user_data (bytes).
        """
        living, gone = self._cloud.servers(), self._deleted()
        # What is deleted in between is in both lists.
        found = {one["id"]: self._server(one, False) for one in living}
        found |= {one["id"]: self._server(one, True) for one in gone}
        return [
            one
            for one in found.values()
            if one["id"] not in self._forgotten
            and (not statuses or one["status"] in statuses)
        ]

    def _deleted(self) -> list[Facts]:
        return self._cloud.servers(deleted_since=self._emptied)

    def _server(self, one: Facts, deleted: bool) -> Facts:
        project = one["tenant_id"]
        return {
            "id": one["id"],
            "name": one["name"],
            "status": one["status"],
            "project": self._cloud.projects.get(project, project),
            "created": one["created"],
            "deleted": deleted,
            "host": one["OS-EXT-SRV-ATTR:host"],
            "addresses": [
                ip["addr"] for ips in one["addresses"].values() for ip in ips
            ],
            "key": one["key_name"],
            "tags": one["tags"],
            "metadata": one["metadata"],
            "fault": one.get("fault", {}).get("message", ""),
            "user_data": base64.b64decode(one["OS-EXT-SRV-ATTR:user_data"] or ""),
        }

    def resources(self) -> dict[str, dict[str, list[Facts]]]:
        """Return what users have beside servers: by project, then by kind.

        Kinds are floating_ips, ports, networks, security_groups, keypairs and
        server_groups; each is a dict as the services tell of it. What was there from
        the start, and what belongs to servers and routers, is left out.
        """
        found: dict[str, dict[str, list[Facts]]] = defaultdict(dict)
        for kind, every in self._cloud.resources().items():
            for one in every:
                project = self._cloud.projects.get(one["project_id"])
                if project and one.get("name") not in _GIVEN.get(kind, ()):
                    found[project].setdefault(kind, []).append(one)
        return dict(found)

    def set_quota(self, project: str, **limits: int) -> None:
        """Limit a project until the next reset, even below what it has.

        Nova knows instances, cores, ram, key_pairs, server_groups; neutron knows
        floating_ips, networks, ports, security_groups, security_group_rules.
        """
        ident = self._cloud.project_id(project)
        self._limited.add(ident)
        self._cloud.set_quota(ident, limits)

    def figures(self) -> dict[str, dict[str, float]]:
        """Return each program's memory (MiB) and its processor time (seconds)."""
        return {name: _figures(pid) for name, pid in self.pids.items()}

    def reset(self) -> None:
        """Delete everything that users have made, and forget that it was there."""
        self._delete_servers()
        found = self.resources().values()
        for kind in _KINDS:
            for one in (one for kinds in found for one in kinds.get(kind, ())):
                self._cloud.delete(kind, one)
        while self._limited:
            self._cloud.forget_quota(self._limited.pop())
        # Nova's clock has whole seconds, and what is deleted changes a last time soon.
        emptied = datetime.now(UTC) - timedelta(seconds=5)
        self._forgotten |= {one["id"] for one in self._deleted()}
        self._emptied = emptied
        self.forget_requests()

    def _delete_servers(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        asked: set[str] = set()
        while left := {one["id"] for one in self._cloud.servers()}:
            for ident in left - asked:
                self._cloud.delete_server(ident)
            asked |= left
            if time.monotonic() > deadline:
                raise TimeoutError(f"these servers remain: {left}")
            time.sleep(0.1)

    def close(self) -> None:
        """Close the connections to the services."""
        self._cloud.close()


def _figures(pid: int) -> dict[str, float]:
    """Return what Linux says of a process; memory that it shares counts in part."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    memory = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    ticks: Any = sum(int(one) for one in times)
    return {"memory": memory / 1024, "cpu": ticks / os.sysconf("SC_CLK_TCK")}
