"""Lists: filtered, in order, page by page; those of one place and of all."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.clouds.gce.actions import Call, Reply
from tests.clouds.gce.catalogue import ZONES
from tests.clouds.gce.filters import compiled
from tests.clouds.gce.refusals import invalid, unavailable

#: How many entries a page has at most, and unless the request says otherwise.
_MOST = 500

#: The scope of an entry, and the entry.
Entry = tuple[str, Reply]


def listed(call: Call, kind: str, found: Sequence[Reply], **more: Any) -> Reply:
    """Return one page of a list."""
    page, token = _page(call, [("", one) for one in found])
    reply: Reply = {
        "kind": f"compute#{kind}",
        "id": "/".join(("projects", call.project.id, call.place, kind)),
        "selfLink": f"{call.root}projects/{call.project.id}/{call.place}",
        **more,
    }
    if page:
        reply["items"] = [one for _, one in page]
    if token:
        reply["nextPageToken"] = token
    return reply


def aggregated(
    call: Call, kind: str, name: str, found: Mapping[str, Sequence[Reply]]
) -> Reply:
    """Return one page of a list over scopes; it has all scopes, also empty ones."""
    lost = _unreachable(call, found)
    page, token = _page(
        call, [(scope, one) for scope, some in found.items() for one in some]
    )
    items: dict[str, Any] = {scope: _empty(scope) for scope in found}
    for scope, one in page:
        if "warning" in items[scope]:
            items[scope] = {name: []}
        items[scope][name].append(one)
    reply: Reply = {
        "kind": f"compute#{kind}AggregatedList",
        "id": f"projects/{call.project.id}/aggregated/{name}",
        "selfLink": f"{call.root}projects/{call.project.id}/aggregated/{name}",
        "items": items,
    }
    for scope in lost:
        items[scope] = {"warning": _warning("UNREACHABLE", scope)}
    if lost:
        reply["unreachables"] = lost
        reply["warning"] = _warning("UNREACHABLE", ", ".join(lost))
    if token:
        reply["nextPageToken"] = token
    return reply


def check_reachable(call: Call, zone: str) -> None:
    """Refuse a request to a zone that cannot be asked."""
    if zone in call.behaviour.unreachable:
        raise unavailable()


def _unreachable(call: Call, scopes: Mapping[str, Any]) -> list[str]:
    """Return the scopes that are left out; refuse that where it was not asked for."""
    zones = [zone for zone in ZONES if zone in call.behaviour.unreachable]
    lost = [f"zones/{zone}" for zone in zones if f"zones/{zone}" in scopes]
    partial = call.query.get("returnPartialSuccess", call.behaviour.partial_unasked)
    if lost and not partial:
        raise unavailable()
    return lost


def _empty(scope: str) -> Reply:
    return {"warning": _warning("NO_RESULTS_ON_PAGE", scope)}


def _warning(code: str, scope: str) -> Reply:
    return {
        "code": code,
        "message": f"There are no results for scope '{scope}' on this page.",
        "data": [{"key": "scope", "value": scope}],
    }


def _page(call: Call, found: Sequence[Entry]) -> tuple[list[Entry], str]:
    """Return the page that was asked for, and the token of the next one."""
    if text := call.query.get("filter"):
        fits = compiled(text)
        found = [entry for entry in found if fits(entry[1])]
    key, newest_first = _order(call)
    ordered = sorted(found, key=key, reverse=newest_first)
    after = _token_read(call.query.get("pageToken", ""))
    if after is not None:
        ordered = [
            entry
            for entry in ordered
            if (key(entry) < after if newest_first else key(entry) > after)
        ]
    size = call.query.get("maxResults", _MOST)
    if size > _MOST:
        raise invalid("maxResults", size, f"Values must be within 0 and {_MOST}.")
    page = ordered[: size or _MOST]
    more = len(ordered) > len(page)
    return page, _token(key(page[-1])) if more else ""


def _order(call: Call) -> tuple[Callable[[Entry], list[str]], bool]:
    """Return what lists are sorted by, and whether the last comes first."""
    text = call.query.get("orderBy", "") or "name"
    if text == "name":
        return _by_name, False
    if text == "creationTimestamp desc":
        return _by_time, True
    raise invalid("orderBy", text, "Only 'name' and 'creationTimestamp desc'.")


def _by_name(entry: Entry) -> list[str]:
    return [entry[0], entry[1]["name"]]


def _by_time(entry: Entry) -> list[str]:
    one = entry[1]
    return [one.get("creationTimestamp") or one.get("insertTime", ""), one["name"]]


def _token(key: list[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _token_read(text: str) -> list[str] | None:
    if not text:
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(text))
    except (binascii.Error, UnicodeDecodeError, ValueError) as fault:
        raise invalid("pageToken", text, "The page token is invalid.") from fault
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise invalid("pageToken", text, "The page token is invalid.")
    return found
