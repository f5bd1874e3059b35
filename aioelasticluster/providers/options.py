"""Options of nodes: read by name, as the kind that their default is; shared checks."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from aioelasticluster.errors import (
    CapacityError,
    ConfigurationError,
    InvalidRequestError,
)
from aioelasticluster.model.records import NodeSpec
from aioelasticluster.model.user_data import longest_merged
from aioelasticluster.providers.base import LaunchOrder


def read_options(
    kind: Any, given: Mapping[str, object], provider: str
) -> dict[str, Any]:
    """Return the options for a dataclass; raises `ConfigurationError`.

    Lists may be given as text with commas.
    """
    known = {field.name: field.default for field in fields(kind)}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise ConfigurationError(
                name,
                value,
                f"{provider} has no such option",
                f"Its options are {', '.join(sorted(known))}",
            )
        values[name] = _value(name, value, known[name])
    return values


def _value(name: str, value: object, default: object) -> object:
    """Return an option's value as its default's kind."""
    if isinstance(default, tuple):
        return _list(name, value)
    if isinstance(default, bool) or default is None:
        return _checked(name, value, isinstance(value, bool), "True or False")
    if isinstance(default, str):
        return _checked(name, value, isinstance(value, str), "text")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, int):
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        return int(_checked(name, value, whole, "a whole number, not negative"))
    fine = number and 0 <= value < math.inf  # type: ignore[operator]
    return float(_checked(name, value, fine, "a number, not negative"))


def _list(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    listed = isinstance(value, Sequence) and all(
        isinstance(part, str) and part for part in value
    )
    return tuple(_checked(name, value, listed, "text, or a list of it"))


def _checked(name: str, value: Any, fine: bool, wanted: str) -> Any:
    if fine:
        return value
    raise ConfigurationError(name, value, "ill-typed", f"Give {wanted}")


#: Between a place's parts; names of subnets may hold anything else.
_AND = " + "


@dataclass(frozen=True, slots=True)
class Place:
    """Where an order goes: a zone (or subnet), and another flavor than the node's."""

    where: str = ""
    flavor: str = ""

    def __str__(self) -> str:
        if self.flavor or _AND in self.where:
            return f"{self.where}{_AND}{self.flavor}"
        return self.where

    @classmethod
    def parsed(cls, text: str) -> Place:
        """Read what `str` gave."""
        if _AND not in text:
            return cls(text)
        where, _, flavor = text.rpartition(_AND)
        return cls(where, flavor)


def resource(kind: str, text: str) -> str:
    """Return the key of a looked-up resource: its kind, then the user's text."""
    return f"{kind}:{text}"


def placed(error: CapacityError, order: LaunchOrder) -> CapacityError:
    """Return a refusal that says where there was no room, and for what."""
    place = Place.parsed(order.zone)
    error.zone, error.flavor = place.where, place.flavor or order.spec.flavor
    return error


def places(wheres: Iterable[str], flavors: Iterable[str]) -> tuple[str, ...]:
    """Return where to launch, in order: the preferred flavor everywhere first."""
    listed = tuple(wheres) or ("",)
    every = (str(Place(where, flavor)) for flavor in ("", *flavors) for where in listed)
    return tuple(dict.fromkeys(every))


#: What a security group is called among an order's resources that was made for nodes
#: with `ssh_from`: apart from the user's own of the same name.
MADE_GROUP = "made-group"


def admitted(wishes: Iterable[tuple[NodeSpec, Any]]) -> dict[str, list[str]]:
    """Return, for each security group to be made, all networks that it admits."""
    networks: dict[str, list[str]] = {}
    for spec, options in wishes:
        if options.ssh_from:
            known = networks.setdefault(spec.security_group, [])
            known += [n for n in options.ssh_from if n not in known]
    return networks


def check_networks(field: str, texts: Iterable[str]) -> None:
    """Raise `ConfigurationError` for what is not a network in CIDR notation."""
    for text in texts:
        try:
            ipaddress.ip_network(text)
        except ValueError as fault:
            raise ConfigurationError(
                field, text, str(fault), "Give networks such as 192.0.2.0/24"
            ) from fault


def check_user_data(spec: NodeSpec, limit: int, *, encoded: bool = False) -> None:
    """Raise `ConfigurationError` for user-data that will not fit with ours.

    `limit` in bytes; with `encoded` it holds for what they become in base64.
    """
    size = longest_merged(spec.image_userdata)
    if encoded:
        size = -(-size // 3) * 4
    if size > limit:
        kind = " of base64" if encoded else ""
        raise ConfigurationError(
            "image_userdata",
            f"{spec.image_userdata[:40]}…",
            f"{size} bytes{kind} together with what the library adds, and the cloud "
            f"takes {limit}",
            "Put what is long where `#include` or a script can fetch it",
        )


def fitting(user_data: str, limit: int) -> str:
    """Return user-data as it is sent; raises `InvalidRequestError` if it is too long.

    `limit` in bytes. What the user plans is checked before: this is for the rest.
    """
    size = len(user_data.encode())
    if size > limit:
        raise InvalidRequestError(
            f"user-data of {size} bytes; the cloud takes {limit}: shorten "
            "image_userdata"
        )
    return user_data
