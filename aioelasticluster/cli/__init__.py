"""The command line: arguments, progress, exit codes. Nothing imports it."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command `aioelasticluster`; without its libraries say how to get them."""
    try:
        from aioelasticluster.cli.main import run
    except ImportError as fault:
        sys.exit(f"{fault}: pip install 'aioelasticluster[cli]'")
    run()
