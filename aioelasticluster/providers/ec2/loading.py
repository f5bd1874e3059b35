"""botocore without stalls: it loads and parses in threads, and lets the loop run.

Its model of EC2 is five megabytes of JSON, and a reply about a thousand instances
takes it most of a second (measured): neither belongs on the caller's loop.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from aiobotocore.parsers import AioEC2QueryParser, AioResponseParserFactory
from aiobotocore.session import AioSession
from botocore.loaders import Loader

from aioelasticluster._aio.blocking import Blocking

#: Replies from this size (bytes) on are parsed in a thread: 10 ms and more.
LARGE = 64 * 1024

_in_thread = Blocking(width=2, patience=60.0)


class _GivingWay:
    """Reads botocore's data files; made for threads.

    The decoder would hold the interpreter's lock for the whole of a file. A hook in
    Python lets other threads have it in between.
    """

    def exists(self, path: str) -> bool:
        """Whether there is such a file; botocore gives names without their ending."""
        return any(file.is_file() for file in _files(path))

    def load_file(self, path: str) -> Any:
        """Return what a file holds, None if it does not exist."""
        for file in _files(path):
            if file.is_file():
                data = file.read_bytes()
                text = gzip.decompress(data) if file.suffix == ".gz" else data
                return json.loads(text, object_pairs_hook=lambda pairs: dict(pairs))
        return None


def _files(path: str) -> tuple[Path, Path]:
    return Path(f"{path}.json"), Path(f"{path}.json.gz")


class _ThreadedParser(AioEC2QueryParser):  # type: ignore[misc]
    """Parses large replies in a thread."""

    def _do_parse(
        self, response: dict[str, Any], shape: Any
    ) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        parse = super()._do_parse
        if len(response["body"]) < LARGE:
            return parse(response, shape)  # type: ignore[no-any-return]
        return _in_thread(parse, response, shape)


class _ParserFactory(AioResponseParserFactory):  # type: ignore[misc]
    def create_parser(self, protocol: str) -> Any:
        if protocol == "ec2":
            return _ThreadedParser(**self._defaults)
        return super().create_parser(protocol)


#: One for the process: what was loaded is there for every client.
_loader = Loader(file_loader=_GivingWay())


def new_session(profile: str | None) -> AioSession:
    """Return a session whose clients hold nobody up."""
    session = AioSession(profile=profile)
    session.register_component("data_loader", _loader)
    session.register_component("response_parser_factory", _ParserFactory())
    return session
