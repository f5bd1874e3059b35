"""What requests and replies are held against: Google's own discovery document."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import fastjsonschema

from tests.clouds.gce.refusals import RefusalError, invalid, not_found, required

#: What all requests may say beside the document's own: it is recommended there in 52
#: descriptions, but declared for no method.
_UNDECLARED: Mapping[str, Mapping[str, Any]] = {
    "returnPartialSuccess": {"type": "boolean"},
}

_INTEGER = re.compile(r"-?\d{1,20}")
_SIZES = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the API; a part of `path` in braces is a parameter."""

    id: str
    path: tuple[str, ...]
    parameters: Mapping[str, Schema]
    request: str
    response: str

    def matches(self, parts: Sequence[str]) -> bool:
        """Tell whether a path of the same length is this method's."""
        return all(
            known.startswith("{") or known == part
            for known, part in zip(self.path, parts, strict=True)
        )

    def fixed(self) -> int:
        """Return how many parts of the path are no parameters."""
        return sum(not part.startswith("{") for part in self.path)


@dataclass(frozen=True, slots=True)
class Spec:
    """The document in the shape in which it is asked."""

    document: Mapping[str, Any]
    routes: Mapping[tuple[str, int], Sequence[Method]]
    common: Mapping[str, Schema]
    _validators: dict[tuple[str, str], Callable[[Any], Any]] = field(
        default_factory=dict
    )

    def route(self, verb: str, path: str) -> tuple[Method, dict[str, str]]:
        """Return the method that a path belongs to, and the parameters in it."""
        parts = path.split("/")
        for method in self.routes.get((verb, len(parts)), ()):
            if method.matches(parts):
                found = {
                    known[1:-1]: part
                    for known, part in zip(method.path, parts, strict=True)
                    if known.startswith("{")
                }
                return method, {
                    name: self._parsed(name, method.parameters[name], value)
                    for name, value in found.items()
                }
        raise not_found(f"/compute/v1/{path}")

    def query(self, method: Method, given: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Return the parameters behind the path, in their types."""
        found: dict[str, Any] = {}
        for name, value in given:
            schema = method.parameters.get(name) or self.common.get(name)
            if schema is None or schema.get("location") == "path":
                raise _unknown(name)
            if name in found and not schema.get("repeated"):
                raise invalid(name, value, "It was given before.")
            parsed = self._parsed(name, schema, value)
            if schema.get("repeated"):
                found.setdefault(name, []).append(parsed)
            else:
                found[name] = parsed
        return found

    def _parsed(self, name: str, schema: Schema, text: str) -> Any:
        kind, size = schema["type"], schema.get("format")
        if kind == "boolean":
            if text not in ("true", "false"):
                raise invalid(name, text, "Must be 'true' or 'false'.")
            return text == "true"
        if size in _SIZES:
            if not _INTEGER.fullmatch(text) or not _within(int(text), size):
                raise invalid(name, text, f"Must be of type {size}.")
            return int(text)
        if "pattern" in schema and not _regex(schema["pattern"]).fullmatch(text):
            raise invalid(name, text, f"Must be a match of regex '{schema['pattern']}'")
        if "enum" in schema and text not in schema["enum"]:
            raise invalid(name, text, f"Must be one of {', '.join(schema['enum'])}.")
        return text

    def body(self, method: Method, body: bytes) -> dict[str, Any]:
        """Return what a request brings; refuse what the document does not allow."""
        if not method.request:
            if body.strip() not in (b"", b"{}"):
                raise _unparsable("This method takes no body.")
            return {}
        try:
            found = json.loads(body)
        except ValueError as fault:
            raise _unparsable(str(fault)) from fault
        if not isinstance(found, dict):
            raise _unparsable("Root element must be a message.")
        self._check(method, found)
        return found

    def _check(self, method: Method, body: dict[str, Any]) -> None:
        validate = self._validator(method.request, f"compute.{method.id}")
        try:
            validate(body)
        except fastjsonschema.JsonSchemaValueException as fault:
            raise _refused(fault) from fault

    def check_reply(self, method: Method, reply: Any) -> None:
        """Raise `AssertionError` if Google would never send such a reply."""
        if not method.response:
            assert reply is None, f"{method.id} has no reply"
            return
        try:
            self._validator(method.response, "")(reply)
        except fastjsonschema.JsonSchemaValueException as fault:
            raise AssertionError(
                f"the reply of {method.id}: {fault.message}"
            ) from fault

    def _validator(self, schema: str, method: str) -> Callable[[Any], Any]:
        """Return what checks a body, by default a reply."""
        key = schema, method
        if key not in self._validators:
            known = self.document["schemas"]
            root = {
                "$ref": f"#/definitions/{schema}",
                "definitions": {
                    name: _converted(known[name], method)
                    for name in _needed(known, schema)
                },
            }
            self._validators[key] = fastjsonschema.compile(
                root, formats={"byte": _is_base64}, use_default=False
            )
        return self._validators[key]


@cache
def spec() -> Spec:
    """Return the document, read once."""
    text = files("googleapiclient.discovery_cache") / "documents/compute.v1.json"
    document = json.loads(text.read_text())
    routes: dict[tuple[str, int], list[Method]] = {}
    for verb, method in _methods(document["resources"]):
        routes.setdefault((verb, len(method.path)), []).append(method)
    for methods in routes.values():
        methods.sort(key=Method.fixed, reverse=True)
    return Spec(document, routes, {**document["parameters"], **_UNDECLARED})


def _methods(resources: Mapping[str, Any]) -> Iterator[tuple[str, Method]]:
    for resource in resources.values():
        for one in resource.get("methods", {}).values():
            if "{+" not in one["path"]:  # none that is of use here
                yield (
                    one["httpMethod"],
                    Method(
                        one["id"].removeprefix("compute."),
                        tuple(one["path"].split("/")),
                        one.get("parameters", {}),
                        one.get("request", {}).get("$ref", ""),
                        one.get("response", {}).get("$ref", ""),
                    ),
                )
        yield from _methods(resource.get("resources", {}))


# -- from the document's dialect to JSON schema


def _converted(schema: Schema, method: str) -> dict[str, Any]:
    """Return a schema for a method's requests, or for replies (no method).

    A request may have 64-bit numbers as numbers; a reply has them as text.
    """
    if "$ref" in schema:
        return {"$ref": f"#/definitions/{schema['$ref']}"}
    kind = schema.get("type", "any")
    if kind == "any":
        return {}
    if schema.get("format") in ("int64", "uint64") and kind == "string":
        text = {"type": "string", "pattern": r"^-?\d{1,20}\Z"}
        return {"anyOf": [{"type": "integer"}, text]} if method else text
    found: dict[str, Any] = {"type": kind}
    if "enum" in schema:
        found["enum"] = schema["enum"]
    if "pattern" in schema:
        found["pattern"] = f"^(?:{schema['pattern']})\\Z"
    if schema.get("format") == "byte":
        found["format"] = "byte"
    if schema.get("format") in _SIZES:
        found["minimum"], found["maximum"] = _SIZES[schema["format"]]
    if kind == "array":
        found["items"] = _converted(schema["items"], method)
    if kind == "object":
        found |= _members(schema, method)
    return found


def _members(schema: Schema, method: str) -> dict[str, Any]:
    properties = schema.get("properties", {})
    found: dict[str, Any] = {
        "properties": {
            name: _converted(one, method) for name, one in properties.items()
        },
        "additionalProperties": False,
        "required": [
            name
            for name, one in properties.items()
            if method in one.get("annotations", {}).get("required", ())
        ],
    }
    if "additionalProperties" in schema:
        found["additionalProperties"] = _converted(
            schema["additionalProperties"], method
        )
    return found


def _needed(schemas: Mapping[str, Schema], name: str) -> set[str]:
    """Return the names of a schema and of all that it refers to."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += _references(schemas[one])
    return found


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for inner in schema.values():
            yield from _references(inner)


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _within(number: int, size: str) -> bool:
    least, most = _SIZES[size]
    return least <= number <= most


def _is_base64(text: str) -> bool:
    """Tell whether text is base64 of either alphabet, padded or not."""
    padded = text + "=" * (-len(text) % 4)
    try:
        base64.urlsafe_b64decode(padded.replace("+", "-").replace("/", "_"))
    except (binascii.Error, ValueError):
        return False
    return True


# -- what a client hears


def _refused(fault: fastjsonschema.JsonSchemaValueException) -> RefusalError:
    """Say in Google's words what is wrong with a body."""
    name, message = str(fault.name), str(fault.message)
    place = name.removeprefix("data").lstrip(".")
    field = f"resource.{place}" if place else "resource"
    if fault.rule == "additionalProperties":
        known = fault.definition.get("properties", {})
        return _unknown(next(one for one in fault.value if one not in known), place)
    if fault.rule == "required":
        missing = next(one for one in fault.rule_definition if one not in fault.value)
        return required(f"{field}.{missing}")
    if fault.rule == "pattern":
        pattern = fault.rule_definition.removeprefix("^").removesuffix("\\Z")
        return invalid(field, fault.value, f"Must be a match of regex '{pattern}'")
    return invalid(field, fault.value, message.removeprefix(name).strip())


def _unknown(name: str, place: str = "") -> RefusalError:
    where = f" at '{place}'" if place else ""
    return _unparsable(f'Unknown name "{name}"{where}: Cannot find field.')


def _unparsable(why: str) -> RefusalError:
    return RefusalError(400, "badRequest", f"Invalid JSON payload received. {why}")
