"""Where the command line writes: what was asked for, and all the rest beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

output = Console(soft_wrap=True)
errors = Console(stderr=True, soft_wrap=True)


@contextmanager
def progress(what: str) -> Iterator[Callable[[str], None]]:
    """Show that something goes on, and the last line of what it says.

    Without a terminal each line stays, as in a log.
    """
    if not errors.is_terminal:
        yield lambda line: errors.print(line, markup=False, highlight=False)
        return
    with errors.status(what) as status:
        yield lambda line: status.update(_shortened(what, line))


def _shortened(what: str, line: str) -> Text:
    text = Text.assemble(what, "  ", (line, "dim"))
    text.truncate(max(20, errors.width - 4), overflow="ellipsis")
    return text
