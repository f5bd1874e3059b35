"""The databases of a new cloud, kept so that the next one need not make them again.

They hold addresses and paths of the place where they were made. A snapshot has words
in their stead, and knows in which columns; who takes it up puts its own place there.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from tests.clouds.openstack.place import DATABASES, Place

#: The folders beside the databases that a cloud cannot do without.
_FOLDERS = ("fernet", "credentials", "images")

_COLUMNS = "columns.json"

Columns = list[tuple[str, str, str]]


def save(place: Place, snapshot: Path) -> None:
    """Keep the state of a cloud whose services have ended."""
    draft = snapshot.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    columns: dict[str, Columns] = {}
    for name in DATABASES:
        with (
            closing(sqlite3.connect(place.database(name))) as source,
            closing(sqlite3.connect(draft / f"{name}.sqlite")) as target,
        ):
            source.backup(target)
            columns[name] = list(_generalised(target, _words(place)))
            target.commit()
    for name in _FOLDERS:
        shutil.copytree(place.folder / name, draft / name)
    (draft / _COLUMNS).write_text(json.dumps(columns))
    draft.rename(snapshot)


def restore(snapshot: Path, place: Place) -> None:
    """Put a snapshot into a place that has its folders but no databases."""
    columns: dict[str, Columns] = json.loads((snapshot / _COLUMNS).read_text())
    words = {word: found for found, word in _words(place).items()}
    for name in DATABASES:
        shutil.copy(snapshot / f"{name}.sqlite", place.database(name))
        with closing(sqlite3.connect(place.database(name))) as database:
            database.execute("PRAGMA synchronous=OFF")
            for table, column, word in columns[name]:
                _replace(database, table, column, word, words[word])
            database.commit()
    for name in _FOLDERS:
        shutil.copytree(snapshot / name, place.folder / name, dirs_exist_ok=True)


def _words(place: Place) -> Mapping[str, str]:
    """Return what belongs to a place, and the words for it."""
    words = {str(place.folder): "@folder@", f"{place.network}.": "@network@"}
    for service, ports in place.ports.items():
        words[f"127.0.0.1:{ports.public}"] = f"@{service}-public@"
        words[f"127.0.0.1:{ports.internal}"] = f"@{service}-internal@"
    return words


def _generalised(
    database: sqlite3.Connection, words: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    """Put words in place of what they stand for; tell in which columns."""
    for table, column in _columns(database):
        for found, word in words.items():
            if _replace(database, table, column, found, word):
                yield table, column, word


def _columns(database: sqlite3.Connection) -> list[tuple[str, str]]:
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return [
        (table, column)
        for (table,) in tables.fetchall()
        for _, column, *_ in database.execute(f'PRAGMA table_info("{table}")')
    ]


def _replace(
    database: sqlite3.Connection, table: str, column: str, old: str, new: str
) -> int:
    """Replace some text in a column and return in how many rows."""
    done = database.execute(
        f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) '
        f"""WHERE typeof("{column}") = 'text' AND instr("{column}", ?)""",
        (old, new, old),
    )
    return done.rowcount
