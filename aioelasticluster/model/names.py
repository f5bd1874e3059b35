"""Names of nodes and lists of them: `compute001`, `compute[003,007-105]`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from string import digits

from aioelasticluster.errors import ConfigurationError

#: A host name may have 63 characters, but a tag that has to hold it only 60.
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,58}[A-Za-z0-9])?")
_NUMBERED = re.compile(r"(.+?)([0-9]+)")
_RANGE = r"[0-9]+(?:-[0-9]+)?"
_GROUP = re.compile(rf"([^\[\],]+)(?:\[({_RANGE}(?:,{_RANGE})*)\])?")

#: No order has as many nodes; a list of names may come from anybody's tags.
_LONGEST_RANGE = 100_000


def check_cluster_name(name: str) -> None:
    """Raise `ConfigurationError` unless the name can be part of a host name."""
    _check_host(name)


def check_kind(kind: str) -> None:
    """Raise `ConfigurationError` for a kind that node names cannot be built on."""
    if not _is_kind(kind):
        stem = kind.rstrip(digits)
        example = stem if _is_kind(stem) else "compute"
        raise ConfigurationError(
            "kind",
            kind,
            "a kind has letters, digits and hyphens, 55 at most, begins with a letter "
            "or digit and does not end in a digit",
            f"Try {example!r}",
        )


def _is_kind(kind: str) -> bool:
    named = _HOST.fullmatch(f"{kind}00000")
    return named is not None and kind != "" and kind[-1] not in digits


def check_node_name(name: str) -> None:
    """Raise `ConfigurationError` unless the name is a host name."""
    _check_host(name)


def _check_host(name: str) -> None:
    if not _HOST.fullmatch(name):
        raise ConfigurationError(
            "name",
            name,
            "not a host name",
            "Use letters, digits and inner hyphens, 60 characters at most",
        )


def fresh_names(kind: str, taken: Collection[str]) -> Iterator[str]:
    """Yield `kind001`, `kind002` … that are not taken, freed indices first."""
    index = 0
    while True:
        index += 1
        if (name := f"{kind}{index:03d}") not in taken:
            yield name


def host_alias(node: str, cluster_id: str) -> str:
    """Return what known_hosts is keyed by: never an address, for those return."""
    return f"{node}.{cluster_id}"


def by_number(name: str) -> tuple[str, int]:
    """Return what names are ordered by: `compute1000` comes after `compute999`."""
    return name.rstrip("0123456789"), index_of(name)


def index_of(name: str) -> int:
    """Return the number at the end of a node's name, 0 where there is none."""
    return int(name[len(name.rstrip(digits)) :] or 0)


def format_hostlist(names: Iterable[str]) -> str:
    """Write names as a hostlist, in their order: `compute[001-003,007],login`.

    The order is kept, since an instance finds its name by its place in the list.
    """
    groups: list[tuple[str, int, list[int]]] = []
    for name in names:
        numbered = _NUMBERED.fullmatch(name)
        prefix, number = numbered.groups() if numbered else (name, "")
        if groups and number and groups[-1][:2] == (prefix, len(number)):
            groups[-1][2].append(int(number))
        else:
            groups.append((prefix, len(number), [int(number)] if number else []))
    return ",".join(_group(*group) for group in groups)


def _group(prefix: str, width: int, numbers: list[int]) -> str:
    """Write the names of one prefix: `login`, `compute007`, `compute[001-003]`."""
    if len(numbers) > 1:
        return f"{prefix}[{_ranges(numbers, width)}]"

    return prefix + "".join(f"{number:0{width}d}" for number in numbers)


def _ranges(numbers: list[int], width: int) -> str:
    """Write numbers as `001-003,007`."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return ",".join(
        f"{low:0{width}d}" if low == high else f"{low:0{width}d}-{high:0{width}d}"
        for low, high in runs
    )


def parse_hostlist(text: str) -> tuple[str, ...]:
    """Read a hostlist back, in its order; raise `ValueError` if it is not one."""
    names: list[str] = []
    place = 0
    while place < len(text):
        group = _GROUP.match(text, place)
        if group is None or text[group.end() : group.end() + 1] not in ("", ","):
            raise ValueError(f"not a list of node names: {text!r}")

        names += _members(group[1], group[2])
        place = group.end() + 1
    return tuple(names)


def _members(prefix: str, ranges: str | None) -> Iterator[str]:
    if ranges is None:
        yield prefix
        return

    for part in ranges.split(","):
        low, _, high = part.partition("-")
        if int(high or low) - int(low) > _LONGEST_RANGE:
            raise ValueError(f"not a range of node names: {part!r}")

        for number in range(int(low), int(high or low) + 1):
            yield f"{prefix}{number:0{len(low)}d}"
