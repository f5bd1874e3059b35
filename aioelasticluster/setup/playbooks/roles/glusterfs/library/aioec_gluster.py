#!/usr/bin/python
"""An Ansible module: servers of Gluster, and volumes over all of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: aioec_gluster
short_description: servers of Gluster, and volumes over all of them
description:
  - With O(servers) these know one another, and each volume is over all of them.
  - With O(online) it fails unless a server's parts of the volumes are up.
  - With O(retired) servers leave, and it fails if one of them holds files.
options:
  servers: {type: list, elements: str, default: [], description: All servers.}
  volumes:
    type: list
    elements: dict
    default: []
    description: Each with C(name), C(path), and C(replicas) or C(redundancy).
  online: {type: str, description: A server.}
  retired: {type: list, elements: str, default: [], description: Servers.}
  timeout: {type: int, default: 60, description: How long to wait (seconds).}
"""


class RefusedError(Exception):
    """Gluster did not do what it was asked; the text is its own."""


def main() -> None:
    """Do what is asked for; tell whether anything had to be changed."""
    module = AnsibleModule(
        argument_spec={
            "servers": {"type": "list", "elements": "str", "default": []},
            "volumes": {"type": "list", "elements": "dict", "default": []},
            "online": {"type": "str"},
            "retired": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 60},
        }
    )
    wanted = module.params
    gluster = Gluster(module)
    try:
        if wanted["servers"]:
            for volume in wanted["volumes"]:
                check(volume, len(wanted["servers"]))
            gluster.gather(wanted["servers"])
            for volume in wanted["volumes"]:
                gluster.have(volume, wanted["servers"])
        if wanted["online"]:
            gluster.check_online(wanted["online"], wanted["volumes"])
        if wanted["retired"]:
            gluster.retire(wanted["retired"])
    except RefusedError as fault:
        module.fail_json(msg=str(fault))
    module.exit_json(changed=bool(gluster.done), done=gluster.done)


def check(volume: dict[str, Any], servers: int) -> None:
    """Raise `RefusedError` if a volume cannot be over so many servers."""
    name, replicas, redundancy = volume["name"], *numbers(volume)
    if replicas > 1 and redundancy:
        raise RefusedError(f"volume {name}: give replicas or redundancy, not both")
    if redundancy and servers <= 2 * redundancy:
        raise RefusedError(
            f"volume {name}: redundancy {redundancy} needs more than {2 * redundancy} "
            f"servers, and there are {servers}"
        )
    if servers < replicas:
        raise RefusedError(
            f"volume {name}: {replicas} replicas need as many servers, and there are "
            f"{servers}"
        )


def numbers(volume: dict[str, Any]) -> tuple[int, int]:
    """Return how many replicas a volume has, and how many servers it may lose."""
    return int(volume.get("replicas") or 1), int(volume.get("redundancy") or 0)


class Gluster:
    """Gluster as its command shows it; `done` are the changes."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.deadline = time.monotonic() + module.params["timeout"]
        self.done: list[str] = []

    def gather(self, servers: list[str]) -> None:
        """Have all servers know one another; this is one of them."""
        here = os.uname().nodename
        for server in servers:
            if server != here and server not in self.peers():
                self.change("peer", "probe", server)
        others = set(servers) - {here}
        if not self.wait(lambda: others <= set(self.peers(connected=True))):
            lost = ", ".join(sorted(others - set(self.peers(connected=True))))
            raise RefusedError(f"no connection to {lost}")

    def have(self, volume: dict[str, Any], servers: list[str]) -> None:
        """Have a volume, started, over as many of the servers as fit."""
        name, replicas, redundancy = volume["name"], *numbers(volume)
        used = self.bricks(name)
        path = volume["path"].rstrip("/")
        coming = [each for each in servers if f"{each}:{path}" not in used]
        bricks = [f"{each}:{path}" for each in coming]
        if not used:
            whole = len(bricks) - len(bricks) % replicas
            form = ["replica", str(replicas)] if replicas > 1 else []
            if redundancy:
                form = ["disperse", str(whole), "redundancy", str(redundancy)]
            # "force": the folder may be on the same disk as the system.
            self.change("volume", "create", name, *form, *bricks[:whole], "force")
        elif not redundancy and len(bricks) >= replicas:
            whole = len(bricks) - len(bricks) % replicas
            self.change("volume", "add-brick", name, *bricks[:whole], "force")
            self.change("volume", "rebalance", name, "start")
        if self.status(name) != "Started":
            self.change("volume", "start", name)

    def check_online(self, server: str, volumes: list[dict[str, Any]]) -> None:
        """Raise `RefusedError` unless a server's parts of the volumes are up."""
        for volume in volumes:
            name = volume["name"]
            brick = f"{server}:{volume['path'].rstrip('/')}"
            if not self.wait(lambda name=name: bool(self.bricks(name))):  # type: ignore[misc]
                raise RefusedError(f"there is no volume {name}")
            if brick not in self.bricks(name):
                continue  # it waits for others, to form a set of copies with them
            if not self.wait(lambda name=name, brick=brick: brick in self.up(name)):  # type: ignore[misc]
                raise RefusedError(f"volume {name}: {brick} is not up")

    def retire(self, servers: list[str]) -> None:
        """Forget servers; raise `RefusedError` if one of them holds files."""
        for name in self.volumes():
            for brick in self.bricks(name):
                if brick.split(":")[0] in servers:
                    raise RefusedError(
                        f"{brick} holds files of volume {name}: move them first, with "
                        "`gluster volume remove-brick`"
                    )
        for server in servers:
            if server in self.peers():
                self.change("peer", "detach", server, "force")

    def peers(self, *, connected: bool = False) -> list[str]:
        """Return the names of the other servers, or of those that answer."""
        return [
            peer.findtext("hostname", "")
            for peer in self.ask("peer", "status").iter("peer")
            if not connected or peer.findtext("connected") == "1"
        ]

    def volumes(self) -> list[str]:
        """Return the names of all volumes."""
        found = self.ask("volume", "info").iter("volume")
        return [volume.findtext("name", "") for volume in found]

    def bricks(self, name: str) -> list[str]:
        """Return the parts of a volume, as `server:folder`; none: there is none."""
        return [
            brick.findtext("name", "")
            for brick in self.ask("volume", "info", name).iter("brick")
        ]

    def status(self, name: str) -> str:
        """Return in which state a volume is."""
        return self.ask("volume", "info", name).findtext(".//statusStr", "")

    def up(self, name: str) -> set[str]:
        """Return the parts of a volume that are up."""
        return {
            f"{node.findtext('hostname')}:{node.findtext('path')}"
            for node in self.ask("volume", "status", name).iter("node")
            if node.findtext("status") == "1"
        }

    def wait(self, ready: Callable[[], bool]) -> bool:
        """Ask until it is so; return False when the time is up."""
        while not ready():
            if time.monotonic() > self.deadline:
                return False
            time.sleep(0.5)
        return True

    def ask(self, *words: str) -> ElementTree.Element:
        """Return what Gluster says; nothing if it fails, as for an unknown volume."""
        status, output, _ = self.run(*words)
        return ElementTree.fromstring(output if status == 0 else "<none/>")

    def change(self, *words: str) -> None:
        """Change something; raise `RefusedError` if Gluster does not."""
        status, output, errors = self.run(*words)
        if status != 0:
            raise RefusedError(f"gluster {' '.join(words)}: {output}{errors}".strip())
        answer = ElementTree.fromstring(output)
        if answer.findtext("opRet") not in (None, "0"):
            raise RefusedError(
                f"gluster {' '.join(words)}: {answer.findtext('opErrstr')}"
            )
        self.done.append(" ".join(words))

    def run(self, *words: str) -> tuple[int, str, str]:
        """Run the command, which never asks whether one is sure."""
        status, output, errors = self.module.run_command(
            ["gluster", "--mode=script", "--xml", *words]
        )
        return status, output, errors


if __name__ == "__main__":
    main()
