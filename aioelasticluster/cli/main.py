"""The command `aioelasticluster`."""

from __future__ import annotations

import sys

import typer

from aioelasticluster.cli.console import errors
from aioelasticluster.cli.image import image
from aioelasticluster.errors import ElasticlusterError

#: What a shell calls the exit status of a program that was interrupted.
_INTERRUPTED = 130

app = typer.Typer(
    name="aioelasticluster",
    help="Compute clusters from the command line.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(image, name="image")


@app.callback()
def everything() -> None:
    """Compute clusters from the command line."""


def run() -> None:
    """Run the command; what goes wrong is one sentence and an exit status."""
    try:
        app()
    except ElasticlusterError as error:
        errors.print(f"[red]{type(error).__name__}[/red]: ", end="")
        errors.print(str(error), markup=False, highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        errors.print("interrupted")
        sys.exit(_INTERRUPTED)
