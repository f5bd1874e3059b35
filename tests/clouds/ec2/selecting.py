"""Filters and pages, as all Describe calls have them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from tests.clouds.ec2.actions import Call
from tests.clouds.ec2.refusals import RefusalError, invalid

T = TypeVar("T")

#: What a filter looks at: one text, or several.
Fact = Callable[[T], str | Iterable[str]]

_MOST_VALUES = 200


def selected(
    call: Call,
    items: Iterable[T],
    facts: Mapping[str, Fact[T]],
    tags: Callable[[T], Mapping[str, str]] | None = None,
) -> list[T]:
    """Return the items that fit all filters of a call, each by any of its values."""
    found = list(items)
    for condition in call.get("Filters", ()):
        name, values = condition.get("Name", ""), condition.get("Values", [])
        if not values:
            raise invalid(f"The filter '{name}' has no values")
        if len(values) > _MOST_VALUES:
            raise RefusalError(
                "FilterLimitExceeded",
                f"The maximum number of filter values is {_MOST_VALUES}.",
            )
        fact, fits = _fact(name, facts, tags), _pattern(values)
        found = [item for item in found if any(map(fits, _texts(fact(item))))]
    return found


def _fact(
    name: str,
    facts: Mapping[str, Fact[T]],
    tags: Callable[[T], Mapping[str, str]] | None,
) -> Fact[T]:
    if name in facts:
        return facts[name]
    if tags is not None and name == "tag-key":
        return lambda item: tags(item).keys()
    if tags is not None and name.startswith("tag:"):
        key = name.removeprefix("tag:")
        return lambda item: [tags(item)[key]] if key in tags(item) else []
    raise invalid(f"The filter '{name}' is invalid")


def _texts(fact: str | Iterable[str]) -> Iterable[str]:
    return (fact,) if isinstance(fact, str) else fact


def _pattern(values: Sequence[str]) -> Callable[[str], bool]:
    if not any(wild in value for value in values for wild in "*?\\"):
        return frozenset(values).__contains__
    whole = re.compile("|".join(map(_translated, values)), re.DOTALL)
    return lambda text: whole.fullmatch(text) is not None


def _translated(value: str) -> str:
    wild = {"*": ".*", "?": "."}
    parts = re.findall(r"\\.|.", value, re.DOTALL)
    return "".join(wild.get(part) or re.escape(part[-1]) for part in parts)


def page(
    call: Call,
    items: Sequence[T],
    serial: Callable[[T], int] | None = None,
    *,
    least: int = 5,
    most: int = 1000,
) -> tuple[Sequence[T], str | None]:
    """Return the page that a call asks for, and the token of the next one.

    `serial` numbers items in their order; without it, their positions do.
    """
    size, token = call.get("MaxResults"), call.get("NextToken")
    if size is not None and not least <= size <= most:
        raise invalid(
            f"Value ( {size} ) for parameter maxResults is invalid. "
            f"Expecting a value between {least} and {most}."
        )
    numbered = [(serial(item) if serial else i, item) for i, item in enumerate(items)]
    if token:
        after = _read(call, token)
        numbered = [(number, item) for number, item in numbered if number > after]
    shown = numbered[: size or most if token else size]
    more = len(shown) < len(numbered)
    following = _written(call, shown[-1][0]) if more and shown else None
    return [item for _, item in shown], following


def _written(call: Call, last: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([_query(call), last]).encode()).decode()


def _read(call: Call, token: str) -> int:
    """Return the number behind which a page begins."""
    try:
        query, last = json.loads(base64.urlsafe_b64decode(token))
    except ValueError:
        query = last = None
    if query != _query(call) or not isinstance(last, int):
        raise RefusalError("InvalidNextToken", "The specified NextToken is not valid.")
    return last


def _query(call: Call) -> str:
    """Return what must be equal in the calls for all pages."""
    own = {
        name: value
        for name, value in call.parameters.items()
        if name not in ("MaxResults", "NextToken")
    }
    text = json.dumps([call.action, call.account.id, call.account.region, own])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def ids_or_page(call: Call, ids: str) -> None:
    """Refuse a call that gives both ids and the size of a page."""
    if call.get(ids) and call.get("MaxResults") is not None:
        raise RefusalError(
            "InvalidParameterCombination",
            f"The parameter {ids} cannot be used with the parameter maxResults",
        )


def digest(parameters: Mapping[str, Any]) -> str:
    """Return what tells two requests' parameters apart."""
    return hashlib.sha256(
        json.dumps(parameters, sort_keys=True, default=repr).encode()
    ).hexdigest()
