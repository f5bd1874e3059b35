"""Containers as instances: states, addresses, and why one has failed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from aioelasticluster.errors import InvalidRequestError, ProviderError
from aioelasticluster.model.tags import Tags
from aioelasticluster.providers.base import Instance, InstanceState
from aioelasticluster.providers.containers.calls import Calls
from aioelasticluster.providers.containers.naming import INDEX, OURS, repository_in

#: Docker's words for states, and Podman's.
_STATES: Mapping[str, InstanceState] = {
    "configured": InstanceState.PENDING,
    "created": InstanceState.PENDING,
    "initialized": InstanceState.PENDING,
    "restarting": InstanceState.PENDING,
    "running": InstanceState.RUNNING,
    "paused": InstanceState.PAUSED,
    "stopping": InstanceState.PAUSING,
    "stopped": InstanceState.PAUSED,
    "exited": InstanceState.PAUSED,
    "removing": InstanceState.TERMINATING,
    "dead": InstanceState.FAILED,  # it could not be removed entirely
}

#: A container that ends so was told to: by `pause`, or from inside, as by `poweroff`.
_ORDERLY = frozenset({0, 130, 137, 143})

#: What `init.sh` ends with where the image cannot serve.
_UNFIT = range(101, 110)

#: A container that ran for so long (seconds) can do so again: it was not its image that
#: ended it, but the engine's machine, which went down, or somebody inside.
_FIT = 30.0

_EXITED = re.compile(r"Exited \((\d+)\)")

#: How many lines of a failed container's output its fault tells.
_LINES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Container(Instance):
    """A container as an instance; `unstarted` ones were made, but never started."""

    container_name: str = ""
    unstarted: bool = False


async def listed(calls: Calls, *labels: str) -> list[Container]:
    """Return our containers with all of these labels, in one request.

    Those that have failed, and are rare, take one more each.
    """
    found = await calls.listed("containers/json", [OURS, *labels], all="true")
    containers = [_container(one) for one in found]
    return [
        await _explained(calls, one) if one.state is InstanceState.FAILED else one
        for one in containers
        if one.tags is not None
    ]


def _container(found: Mapping[str, Any]) -> Container:
    name = str(found["Names"][0]).lstrip("/")
    labels = found.get("Labels") or {}
    port = _published(found.get("Ports") or ())
    return Container(
        id=found["Id"],
        state=_state(str(found["State"]), str(found.get("Status") or "")),
        index=int(labels.get(INDEX) or 0),
        addresses=("127.0.0.1",) if port else _addresses(found),
        ssh_port=port or 22,
        tags=_tags(labels, name),
        container_name=name,
        unstarted=found["State"] in ("created", "configured"),
    )


def _state(state: str, status: str) -> InstanceState:
    ended = _EXITED.search(status)
    if ended is not None and int(ended[1]) not in _ORDERLY:
        return InstanceState.FAILED
    return _STATES.get(state.lower(), InstanceState.PENDING)


def _tags(labels: Mapping[str, str], name: str) -> Tags | None:
    """Read a container's tags; a repository in its name is newer than the label's."""
    tags = Tags.decoded(labels)
    moved = repository_in(name)
    return replace(tags, repository=moved) if tags is not None and moved else tags


def _addresses(found: Mapping[str, Any]) -> tuple[str, ...]:
    networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
    given = (one.get("IPAddress") for one in networks.values())
    return tuple(address for address in given if address)


def _published(ports: Sequence[Mapping[str, Any]]) -> int:
    """Return the port of this machine that leads to the SSH server, 0 if none does."""
    for port in ports:
        if port.get("PrivatePort") == 22 and port.get("PublicPort"):
            return int(port["PublicPort"])
    return 0


async def _explained(calls: Calls, container: Container) -> Container:
    """Return a failed container with what it said last."""
    try:
        about = await calls.get(f"containers/{container.id}/json")
    except ProviderError:  # one that cannot be explained still can be ended
        return container
    state = about["State"]
    code = int(state.get("ExitCode") or 0)
    if state.get("Dead"):
        return replace(container, fault=_undead(str(state.get("Error") or "")))
    if code not in _UNFIT and _ran_for(state) > _FIT:
        return replace(container, state=InstanceState.PAUSED)
    said = await _output(calls, container.id)
    return replace(container, fault=_fault(code, said, about["Config"]["Image"]))


def _ran_for(state: Mapping[str, Any]) -> float:
    """Return how long (seconds) a container ran last, 0 if the engine does not tell."""
    try:
        began = datetime.fromisoformat(state["StartedAt"])
        return (datetime.fromisoformat(state["FinishedAt"]) - began).total_seconds()
    except (KeyError, TypeError, ValueError):
        return 0.0


async def _output(calls: Calls, id: str) -> list[str]:
    """Return the last lines of a container's output, or why there are none."""
    try:
        answer = await calls.get(
            f"containers/{id}/logs", stdout="true", stderr="true", tail=str(_LINES)
        )
    except ProviderError as error:  # such as of an engine that keeps no output
        return [f"its output cannot be read: {error}"]
    return _lines(answer or b"")


def _undead(words: str) -> ProviderError:
    """Return why a container is "dead": it was to go, and a part of it has stayed."""
    return ProviderError(
        "the engine has tried to remove the container, and failed: "
        f"{words or 'it does not say why'}. Stop the node again; if it stays, "
        "something on the engine's machine still uses its files"
    )


def _lines(stream: bytes) -> list[str]:
    """Take the frames off a log: eight bytes each, the last four being its length."""
    text, rest = b"", stream
    while len(rest) > 8 and rest[0] in (0, 1, 2) and rest[1:4] == b"\0\0\0":
        length = int.from_bytes(rest[4:8], "big")
        text, rest = text + rest[8 : 8 + length], rest[8 + length :]
    decoded = (text + rest).decode(errors="replace")
    return [line.strip() for line in decoded.splitlines() if line.strip()]


def _fault(code: int, said: Sequence[str], image: str) -> ProviderError:
    """Return why a container that should run does not."""
    words = " | ".join(said)
    if code in _UNFIT:
        return InvalidRequestError(
            f"image {image}: {words}. Build one with `aioelasticluster image build`, "
            "or install what is missing (systemd, openssh-server) in yours"
        )
    if not said:
        return ProviderError(
            f"systemd in the container ended at once (status {code}), without a word, "
            "as it does where the engine's machine has too few inotify instances for "
            "all containers. Raise them there: sysctl -w "
            "fs.inotify.max_user_instances=8192"
        )
    return ProviderError(
        f"systemd in the container ended at once (status {code}): {words}. It does not "
        "get on with the control groups, or the rights, that the engine gives it. "
        "Docker and Podman do as root, and rootless where the machine has cgroup v2 "
        "alone"
    )
