"""Options of nodes: read by name, as the kind that their default is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from aioelasticluster.errors import ConfigurationError


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
