"""The `fields` of requests: which parts of a reply are wanted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.clouds.gce.refusals import invalid

#: The parts that are wanted of each part; an empty mask wants all.
Mask = dict[str, Any]

_TOKEN = re.compile(r"[A-Za-z0-9_.*-]+|[/,()]")


def parsed(text: str) -> Mask:
    """Return a mask: `a,b/c,items(id,labels)`; refuse what cannot be read."""
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != text.replace(" ", ""):
        raise invalid("fields", text, "Invalid field selection.")
    reader = iter([*tokens, ")"])
    mask = _alternatives(reader, text)
    if next(reader, None) is not None:
        raise invalid("fields", text, "Invalid field selection.")
    return mask


def _alternatives(tokens: Iterator[str], text: str) -> Mask:
    """Read up to the closing parenthesis."""
    mask: Mask = {}
    at, ready = mask, True  # where the next name goes, and whether one may come
    for token in tokens:
        if token == ")" and not ready:
            return mask
        if token == "," and not ready:
            at, ready = mask, True
        elif token == "/" and not ready:
            ready = True
        elif token == "(" and not ready:
            at.update(_alternatives(tokens, text))
        elif ready and token not in "/,()":
            at, ready = at.setdefault(token, {}), False
        else:
            break
    raise invalid("fields", text, "Invalid field selection.")


def masked(value: Any, mask: Mask) -> Any:
    """Return what is wanted of a value."""
    if not mask:
        return value
    if isinstance(value, list):
        return [masked(one, mask) for one in value]
    if not isinstance(value, dict):
        return value
    if "*" in mask:
        return {name: masked(one, mask["*"]) for name, one in value.items()}
    return {
        name: masked(one, mask[name]) for name, one in value.items() if name in mask
    }
