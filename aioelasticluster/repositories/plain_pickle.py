"""Pickles of plain data only: reading one never runs anybody's code."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, NoReturn

from aioelasticluster.errors import RepositoryError

if TYPE_CHECKING:
    from pickle import Unpickler


def dump_plain(plain: Any) -> bytes:
    """Return plain data (numbers, texts, lists, dicts) as a pickle."""
    import pickle

    return pickle.dumps(plain, protocol=4)


def load_plain(data: bytes) -> Any:
    """Read a pickle; raise `RepositoryError` for anything but plain data."""
    unpickler = _plain_unpickler()(BytesIO(data))
    try:
        return unpickler.load()
    except RepositoryError:
        raise
    except Exception as fault:
        # Broken pickles raise almost anything: EOFError, KeyError, IndexError …
        raise RepositoryError(f"it is damaged ({fault})") from fault


@cache
def _plain_unpickler() -> type[Unpickler]:
    """Return the reader's class, made on first use: `pickle` takes ms to import."""
    import pickle

    class PlainUnpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> NoReturn:
            raise RepositoryError(
                f"it names {module}.{name}, but only plain data is read: it was not "
                "written by this version of aioelasticluster, move it elsewhere"
            )

    return PlainUnpickler
