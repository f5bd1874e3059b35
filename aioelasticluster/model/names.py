"""Names of nodes and lists of them: `compute001`, `compute[003,007-105]`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from aioelasticluster.errors import ConfigurationError

_KIND = re.compile(r"[a-z0-9-]*[a-z-]+", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)
_NUMBERED = re.compile(r"(.*?)(\d+)")
_GROUP = re.compile(r"([^\[\],]+)(?:\[([0-9,-]+)\])?(?:,|$)")


def check_cluster_name(name: str) -> None:
    """Raise `ConfigurationError` unless the name can be part of a host name."""
    if not _HOST.fullmatch(name):
        raise ConfigurationError(
            "name",
            name,
            "not a host name",
            "Use letters, digits and hyphens, 63 at most",
        )


def check_kind(kind: str) -> None:
    """Raise `ConfigurationError` for a kind that node names cannot be built on."""
    if not _KIND.fullmatch(kind) or not _HOST.fullmatch(kind + "0"):
        raise ConfigurationError(
            "kind",
            kind,
            "a kind has letters, digits and hyphens and does not end in a digit",
            f"Try {kind.rstrip('0123456789') or 'compute'!r}",
        )


def check_node_name(name: str) -> None:
    """Raise `ConfigurationError` unless the name is a host name."""
    if not _HOST.fullmatch(name):
        raise ConfigurationError(
            "name",
            name,
            "not a host name",
            "Use letters, digits and hyphens, 63 at most",
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


def index_of(name: str) -> int:
    """Return the number at the end of a node's name, 0 where there is none."""
    numbered = _NUMBERED.fullmatch(name)
    return int(numbered[2]) if numbered else 0


def format_hostlist(names: Iterable[str]) -> str:
    """Write names as a hostlist: `compute[001-003,007],login`."""
    groups: dict[tuple[str, int], list[int]] = {}
    plain: list[str] = []
    for name in names:
        if numbered := _NUMBERED.fullmatch(name):
            groups.setdefault((numbered[1], len(numbered[2])), []).append(
                int(numbered[2])
            )
        else:
            plain.append(name)
    parts = [
        f"{prefix}[{_ranges(sorted(numbers), width)}]"
        if len(numbers) > 1
        else f"{prefix}{numbers[0]:0{width}d}"
        for (prefix, width), numbers in groups.items()
    ]
    return ",".join(parts + plain)


def _ranges(numbers: list[int], width: int) -> str:
    """Write sorted numbers as `001-003,007`."""
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
    """Read a hostlist back; the order is that of `format_hostlist`'s groups."""
    names: list[str] = []
    for prefix, ranges in _GROUP.findall(text):
        if not ranges:
            names.append(prefix)
            continue
        for part in ranges.split(","):
            low, _, high = part.partition("-")
            names += [
                f"{prefix}{number:0{len(low)}d}"
                for number in range(int(low), int(high or low) + 1)
            ]
    return tuple(names)
