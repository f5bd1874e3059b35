"""References to resources, as requests have them: whole URLs, or the end of one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.clouds.gce.refusals import invalid

_URL = re.compile(
    r"(?:https?://[^/]+/(?:compute/)?v1/)?(?:projects/(?P<project>[^/]+)/)?"
    r"(?:(?P<scope>global|zones/[^/]+|regions/[^/]+)/)(?P<kind>[A-Za-z]+)/(?P<name>.+)"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """What a URL names; without a project it is the asking one's."""

    project: str
    scope: str
    kind: str
    name: str


def reference(field: str, text: str, kind: str, project: str) -> Reference:
    """Return what a field refers to; refuse what is no URL of that kind."""
    found = _URL.fullmatch(text)
    if found is None or found["kind"] != kind:
        raise invalid(field, text, "The URL is malformed.")
    return Reference(found["project"] or project, found["scope"], kind, found["name"])
