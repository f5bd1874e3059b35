"""The one error that the parent answers with; the client turns it into one of ours."""

from __future__ import annotations


class RefusedError(Exception):
    """A request that is refused: `kind` is a word that the client knows."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind, self.message = kind, message
