"""How the benchmarks say what they found: tables, promises held against them, JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import Row

if TYPE_CHECKING:
    from rich.table import Table

#: What is promised: figure, limit, unit.
Limits = Sequence[tuple[str, float, str]]


def verdicts(row: Row, limits: Limits) -> list[Row]:
    """Hold a row's figures against what is promised."""
    return [
        {"nodes": row["nodes"], "what": what, "limit": limit, "measured": row[figure]}
        for figure, limit, what in limits
        if row.get(figure) is not None
    ]


def promised(
    rows: Iterable[Row], client: str, limits: Mapping[int, Limits]
) -> list[Row]:
    """Hold a client's figures, for each number of nodes, against what is promised."""
    return [
        held
        for row in rows
        if row["client"] == client
        for held in verdicts(row, limits.get(row["nodes"], ()))
    ]


def table_of(
    rows: Iterable[Row], columns: Mapping[str, str], title: str, caption: str = ""
) -> Table:
    """Return a table of some of the rows' figures."""
    from rich.table import Table

    table = Table(*columns.values(), title=title, caption=caption)
    for row in rows:
        table.add_row(*(text(row.get(name)) for name in columns))
    return table


def table_of_limits(rows: Iterable[Row]) -> Table:
    """Return a table that says which promises are kept."""
    columns = {
        "nodes": "nodes",
        "what": "promised",
        "limit": "limit",
        "measured": "measured",
        "verdict": "",
    }
    met = (row | {"verdict": verdict(row)} for row in rows)
    return table_of(met, columns, "Promised")


def verdict(row: Row) -> str:
    """Say whether a promise is kept."""
    return "met" if row["measured"] <= row["limit"] else "MISSED"


def text(value: float | str | None) -> str:
    """Return a figure as it is shown."""
    if isinstance(value, float):
        return f"{value:.2f}"
    return "-" if value is None else str(value)


def show(*tables: Table) -> None:
    """Print the tables that have rows."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 140
    Console(width=width).print(*(table for table in tables if table.rows))


def save(path: Path, result: Mapping[str, Any]) -> None:
    """Write what was found for others to read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
