"""Writes replies as XML from plain data, along the model's output shapes.

A name or a value that the model does not have is a bug of this server: it raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

from tests.clouds.ec2.refusals import RefusalError

_EC2 = "http://ec2.amazonaws.com/doc/2016-11-15/"
_STS = "https://sts.amazonaws.com/doc/2011-06-15/"

#: Appends the text of a value to what is written already.
Writer = Callable[[Any, list[str]], None]


class ModelError(Exception):
    """A reply does not fit the model."""


def ec2_reply(action: str, shape: Any, reply: Mapping[str, Any], request: str) -> str:
    """Return EC2's XML; an action without a result answers `true`."""
    text = [f'<{action}Response xmlns="{_EC2}"><requestId>{request}</requestId>']
    if shape is None:
        text.append("<return>true</return>")
    else:
        _writer(shape)(reply, text)
    text.append(f"</{action}Response>")
    return "".join(text)


def sts_reply(action: str, shape: Any, reply: Mapping[str, Any], request: str) -> str:
    """Return STS's XML."""
    text = [f'<{action}Response xmlns="{_STS}"><{action}Result>']
    _writer(shape)(reply, text)
    text.append(
        f"</{action}Result><ResponseMetadata><RequestId>{request}</RequestId>"
        f"</ResponseMetadata></{action}Response>"
    )
    return "".join(text)


def refused(service: str, refusal: RefusalError, request: str) -> str:
    """Return a refusal in a service's own form."""
    fault = f"<Code>{refusal.code}</Code><Message>{escape(refusal.message)}</Message>"
    if service == "sts":
        return (
            f'<ErrorResponse xmlns="{_STS}"><Error><Type>Sender</Type>{fault}</Error>'
            f"<RequestId>{request}</RequestId></ErrorResponse>"
        )
    return (
        f"<Response><Errors><Error>{fault}</Error></Errors>"
        f"<RequestID>{request}</RequestID></Response>"
    )


@cache
def _writer(shape: Any) -> Writer:
    if shape.type_name == "structure":
        return _structure_writer(shape)
    if shape.type_name == "list":
        return _list_writer(shape)
    return _scalar_writer(shape)


def _structure_writer(shape: Any) -> Writer:
    # Filled when used: a model's shapes may contain themselves.
    tags: dict[str, tuple[str, str, Writer]] = {}

    def tag(member: str) -> tuple[str, str, Writer]:
        inner = shape.members.get(member)
        if inner is None:
            raise ModelError(f"{shape.name} has no member {member}")
        name = inner.serialization.get("name", member)
        tags[member] = f"<{name}>", f"</{name}>", _writer(inner)
        return tags[member]

    def write(value: Mapping[str, Any], text: list[str]) -> None:
        for member, inner in value.items():
            if inner is None:
                continue
            opening, closing, inner_writer = tags.get(member) or tag(member)
            text.append(opening)
            inner_writer(inner, text)
            text.append(closing)

    return write


def _list_writer(shape: Any) -> Writer:
    if shape.serialization.get("flattened"):
        raise ModelError(f"{shape.name} is a flattened list: not written here")
    name = shape.member.serialization.get("name", "member")
    opening, closing = f"<{name}>", f"</{name}>"
    inner_writer = _writer(shape.member)

    def write(value: list[Any], text: list[str]) -> None:
        for inner in value:
            text.append(opening)
            inner_writer(inner, text)
            text.append(closing)

    return write


def _scalar_writer(shape: Any) -> Writer:
    allowed = frozenset(shape.metadata.get("enum", ()))
    kind, written = _SCALARS[shape.type_name]

    def write(value: Any, text: list[str]) -> None:
        if type(value) not in kind or (allowed and value not in allowed):
            raise ModelError(f"{value!r} is not of {shape.name}")
        text.append(written(value))

    return write


def moment(at: float) -> str:
    """Return a point in time (seconds since the epoch) as EC2 writes it."""
    instant = datetime.fromtimestamp(at, UTC)
    return instant.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03}Z"


_SCALARS: Mapping[str, tuple[frozenset[type], Callable[[Any], str]]] = {
    "string": (frozenset({str}), escape),
    "integer": (frozenset({int}), str),
    "long": (frozenset({int}), str),
    "float": (frozenset({float, int}), str),
    "double": (frozenset({float, int}), str),
    "boolean": (frozenset({bool}), lambda value: "true" if value else "false"),
    "timestamp": (frozenset({float}), moment),
}
