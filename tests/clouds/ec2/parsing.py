"""Reads the parameters of a request, as strictly as EC2 does.

The result has the names and the nesting that boto3 takes as arguments.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from tests.clouds.ec2.refusals import RefusalError, invalid

#: A parameter's value, or what follows the dot behind its name.
Tree = dict[str, Any]

#: Enumerations of the model that are older than the cloud: it has a list of its own.
_OPEN = frozenset({"InstanceType"})

_COMMON = frozenset({"Action", "Version"})


def parsed(shape: Any, form: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return a request's parameters; refuse what the model does not know."""
    tree: Tree = {}
    for name, value in form:
        if name not in _COMMON:
            _plant(tree, name, value)
    if shape is None:
        if tree:
            raise _unknown(next(iter(tree)))
        return {}
    return _structure(shape, tree, "")


def _plant(tree: Tree, name: str, value: str) -> None:
    *path, last = name.split(".")
    for step in path:
        branch = tree.setdefault(step, {})
        if not isinstance(branch, dict):
            raise _unknown(name)
        tree = branch
    if last in tree:
        raise RefusalError("InvalidParameterValue", f"{name} is given twice")
    tree[last] = value


def _value(shape: Any, given: Any, path: str) -> Any:
    if shape.type_name == "structure":
        return _structure(shape, _tree(given, path), path + ".")
    if shape.type_name == "list":
        return _list(shape, _tree(given, path), path + ".")
    if isinstance(given, dict):
        raise _unknown(f"{path}.{next(iter(given))}")
    return _scalar(shape, given, path)


def _tree(given: Any, path: str) -> Tree:
    if not isinstance(given, dict):
        raise _unknown(path)
    return given


def _structure(shape: Any, tree: Tree, path: str) -> dict[str, Any]:
    members, found = _members(shape), {}
    for name, given in tree.items():
        if name not in members:
            raise _unknown(path + name)
        member, inner = members[name]
        found[member] = _value(inner, given, path + name)
    for member in shape.required_members:
        if member not in found:
            raise RefusalError(
                "MissingParameter",
                f"The request must contain the parameter {path}{member}",
            )
    return found


def _list(shape: Any, tree: Tree, path: str) -> list[Any]:
    for index in tree:
        if not re.fullmatch(r"[1-9]\d*", index):
            raise _unknown(path + index)
    return [_value(shape.member, tree[i], path + i) for i in sorted(tree, key=int)]


@cache
def _members(shape: Any) -> Mapping[str, tuple[str, Any]]:
    """Map the names on the wire to the model's members."""
    return {
        _wire_name(member, inner): (member, inner)
        for member, inner in shape.members.items()
    }


def _wire_name(member: str, shape: Any) -> str:
    given = shape.serialization
    name = str(given.get("queryName", ""))
    if name:
        return name
    name = str(given.get("name", member))
    return name[0].upper() + name[1:]


def _scalar(shape: Any, text: str, path: str) -> Any:
    try:
        value = _READERS[shape.type_name](text)
    except (ValueError, binascii.Error) as fault:
        raise invalid(
            f"Invalid value '{text[:100]}' for {path}: {shape.type_name} expected"
        ) from fault
    allowed = shape.metadata.get("enum", ())
    if allowed and shape.name not in _OPEN and value not in allowed:
        raise invalid(f"Value ({text}) for parameter {path} is invalid.")
    _check_size(shape.metadata, value, path)
    return value


def _check_size(bounds: Mapping[str, Any], value: Any, path: str) -> None:
    size = value if isinstance(value, int) else len(value) if value else 0
    if not bounds.get("min", size) <= size <= bounds.get("max", size):
        raise invalid(
            f"Value ({value}) for parameter {path} is invalid. "
            f"Expecting {bounds.get('min')} to {bounds.get('max')}."
        )


def _integer(text: str) -> int:
    if not re.fullmatch(r"-?\d{1,19}", text):
        raise ValueError(text)
    return int(text)


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


def _blob(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


_READERS: Mapping[str, Callable[[str], Any]] = {
    "string": str,
    "character": str,
    "integer": _integer,
    "long": _integer,
    "float": float,
    "double": float,
    "boolean": _boolean,
    "blob": _blob,
    "timestamp": lambda text: datetime.fromisoformat(text).timestamp(),
}


def _unknown(name: str) -> RefusalError:
    return RefusalError("UnknownParameter", f"The parameter {name} is not recognized")
