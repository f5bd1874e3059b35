"""A Debian root file system from its packages, where no registry can be reached."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import anyio

from aioelasticluster._aio.blocking import Blocking
from aioelasticluster._aio.processes import run_process
from aioelasticluster._aio.tasks import accompanied
from aioelasticluster.errors import ImageBuildError, UnsupportedError
from aioelasticluster.providers.containers.recipes import PACKAGES, SUITE, ImageRecipe

#: How often (seconds) it is looked whether mmdebstrap has said something new.
_LOOK = 0.5

_in_thread = Blocking(width=2, patience=600.0)


async def root_filesystem(
    recipe: ImageRecipe,
    *,
    cache: Path | None = None,
    force: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> Path:
    """Return a tar file of the recipe's root file system; made only if it must be.

    Raises `UnsupportedError` where mmdebstrap is missing, `ImageBuildError` where it
    fails. A cancellation ends it and leaves nothing.
    """
    folder = await _in_thread(_cache_folder, cache)
    made = folder / f"{recipe.digest}.tar"
    if force or not await _in_thread(made.exists):
        draft = await _in_thread(_draft, folder)
        try:
            await _run(recipe, draft, report)
            await _in_thread((draft / "root.tar").replace, made)
        finally:
            await _in_thread(shutil.rmtree, draft, ignore_errors=True)
    return made


def _cache_folder(given: Path | None) -> Path:
    if shutil.which("mmdebstrap") is None:
        raise UnsupportedError(
            "mmdebstrap is not installed (`apt-get install mmdebstrap`); where a "
            "registry can be reached, build from an image instead: --from debian:12"
        )
    if given is None:
        from platformdirs import user_cache_path

        given = user_cache_path("aioelasticluster") / "images"
    given.mkdir(parents=True, exist_ok=True)
    return given


def _draft(folder: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix="draft-", dir=folder))


async def _run(recipe: ImageRecipe, draft: Path, report: Callable[[str], None]) -> None:
    await _in_thread(recipe.lay_out, draft / "build")
    log = await _in_thread((draft / "log").open, "w+b")
    try:
        async with accompanied(_follow(draft / "log", report)):
            status = await run_process(
                _command(draft), environment=os.environ, folder=draft, output=log
            )
        if status:
            raise ImageBuildError(f"mmdebstrap: {await _in_thread(_last_words, log)}")
    finally:
        await _in_thread(log.close)


def _command(draft: Path) -> list[str]:
    """Return the command: first what every node needs, then `finish.sh` inside."""
    mode = "root" if os.geteuid() == 0 else "unshare"
    source, inside = shlex.quote(str(draft / "build")), "aioelasticluster-build"
    return [
        "mmdebstrap",
        f"--mode={mode}",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        "--skip=cleanup/apt,cleanup/reproducible",
        '--aptopt=Acquire::Languages "none"',
        "--dpkgopt=force-unsafe-io",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        f'--customize-hook=cp -r {source} "$1/{inside}"',
        f'--customize-hook=chroot "$1" /bin/sh /{inside}/finish.sh',
        f'--customize-hook=rm -r "$1/{inside}"',
        SUITE,
        str(draft / "root.tar"),
    ]


async def _follow(path: Path, report: Callable[[str], None]) -> None:
    """Report each line that is written to a file."""
    seen = 0
    while True:
        await anyio.sleep(_LOOK)
        lines = (await _in_thread(path.read_text, errors="replace")).splitlines()
        for line in lines[seen:]:
            if line.strip():
                report(line.strip())
        seen = len(lines)


def _last_words(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").splitlines()
    return " | ".join(line.strip() for line in lines[-6:] if line.strip())
