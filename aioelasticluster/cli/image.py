"""`aioelasticluster image`: images for the nodes of ContainerCloudProvider."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from aioelasticluster.cli.console import output, progress
from aioelasticluster.errors import UnsupportedError
from aioelasticluster.providers.containers.naming import DEFAULT_TAG

image = typer.Typer(
    help="Images for the nodes of ContainerCloudProvider.", no_args_is_help=True
)


@image.callback()
def everything() -> None:
    """Images for the nodes of ContainerCloudProvider."""


@image.command()
def build(
    tag: Annotated[
        str, typer.Option(help="What the image is to be called.")
    ] = DEFAULT_TAG,
    package: Annotated[
        list[str] | None,
        typer.Option(help="A Debian package to install as well; may be repeated."),
    ] = None,
    download: Annotated[
        list[str] | None,
        typer.Option(
            help="A Debian package to keep ready in the image, so that set-up installs "
            "it quickly and without a network; may be repeated."
        ),
    ] = None,
    base: Annotated[
        str,
        typer.Option("--from", help="The image to start from (Debian or Ubuntu)."),
    ] = "debian:12",
    bootstrap: Annotated[
        bool,
        typer.Option(
            "--bootstrap",
            help="Start from Debian's packages instead, with mmdebstrap: no registry "
            "is needed.",
        ),
    ] = False,
    docker_host: Annotated[
        str | None,
        typer.Option(help="Where the engine listens, as unix:///run/docker.sock."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where --bootstrap keeps what it has made.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Make it again, even if it is there.")
    ] = False,
) -> None:
    """Make an image with systemd and OpenSSH, unless the same one is there.

    This machine's own certificate authorities (/usr/local/share/ca-certificates) are
    trusted in it as well.
    """
    try:
        from aioelasticluster.providers.containers.building import build_image
    except ImportError as fault:
        raise UnsupportedError(
            f"{fault}: pip install 'aioelasticluster[containers]'"
        ) from fault
    from aioelasticluster.providers.containers.recipes import (
        ImageRecipe,
        own_authorities,
    )

    recipe = ImageRecipe(
        base=None if bootstrap else base,
        packages=tuple(package or ()),
        downloads=tuple(download or ()),
        authorities=own_authorities(),
    )
    began = time.monotonic()
    with progress(f"building {tag}") as report:
        made = asyncio.run(
            build_image(
                recipe,
                tag=tag,
                docker_host=docker_host,
                cache=cache,
                force=force,
                report=report,
            )
        )
    how = f"made in {time.monotonic() - began:.0f} s" if made.built else "up to date"
    output.print(f"{made.tag} {how} ({made.id.removeprefix('sha256:')[:12]})")
