"""The key pairs of a local cloud: files that hold public keys."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from aioelasticluster.errors import InvalidRequestError
from aioelasticluster.providers.local.layout import StateFolder, write_private

#: How many times a folder is made again that another process has just removed.
_TRIES = 5


class KeyStore:
    """Holds public keys by name; what it made for a cluster names that cluster."""

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder.keys

    def provide(self, name: str, public_key: str, cluster_id: str) -> str:
        """Return the name of a key pair with this key; make one if there is none.

        Raises `InvalidRequestError` if the name is taken by another key.
        """
        own = self._read(name)
        if own is not None:
            if _material(own) != _material(public_key):
                raise InvalidRequestError(
                    f"key pair {name!r} in {self._folder} has another public key"
                )
            return name
        made = f"{name}-{cluster_id[:8]}"
        text = " ".join((*_material(public_key), _comment(cluster_id)))
        if self._read(made) != text:
            self._write(made, text)
        return made

    def remove(self, cluster_id: str) -> None:
        """Remove what was made for a cluster, and the folder if that was the last."""
        for path in self._folder.glob(f"*-{cluster_id[:8]}.pub"):
            if path.read_text().endswith(f" {_comment(cluster_id)}\n"):
                path.unlink(missing_ok=True)
        try:
            self._folder.rmdir()
        except OSError:
            pass  # others' keys, or no folder at all

    def _path(self, name: str) -> Path:
        return self._folder / f"{quote(name, safe=' @+=')}.pub"

    def _read(self, name: str) -> str | None:
        try:
            return self._path(name).read_text().rstrip("\n")
        except FileNotFoundError:
            return None

    def _write(self, name: str, text: str) -> None:
        for attempt in range(_TRIES):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                write_private(self._path(name), f"{text}\n")
                return
            except FileNotFoundError:  # another process cleaned up meanwhile
                if attempt == _TRIES - 1:
                    raise


def _comment(cluster_id: str) -> str:
    return f"aioec-{cluster_id}"


def _material(public_key: str) -> tuple[str, ...]:
    """Return a key's type and data, without its comment."""
    return tuple(public_key.split()[:2])
