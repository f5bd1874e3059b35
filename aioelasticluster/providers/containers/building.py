"""Makes images for nodes: in the engine from a base image, or with mmdebstrap."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aioelasticluster._aio.blocking import Blocking
from aioelasticluster.errors import ImageBuildError, InvalidRequestError
from aioelasticluster.providers.containers.bootstrap import root_filesystem
from aioelasticluster.providers.containers.calls import Calls, NotThereError, calling
from aioelasticluster.providers.containers.naming import DEFAULT_TAG
from aioelasticluster.providers.containers.recipes import ImageRecipe

#: Under which name every image that was made is kept, with its recipe's digest as tag.
_KEPT = "aioelasticluster-recipe"

#: Variables that say how to reach the outside, which building needs, too.
_PROXIES = tuple(
    spelt
    for name in ("http_proxy", "https_proxy", "no_proxy")
    for spelt in (name, name.upper())
)

_in_thread = Blocking(width=2, patience=60.0)

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltImage:
    """An image that an engine has now; `built` tells whether it had to be made."""

    tag: str
    id: str
    digest: str
    built: bool


async def build_image(
    recipe: ImageRecipe,
    *,
    tag: str = DEFAULT_TAG,
    docker_host: str | None = None,
    cache: Path | None = None,
    force: bool = False,
    report: Report = lambda line: None,
) -> BuiltImage:
    """Have an engine hold the recipe's image under a tag; make it only if it must be.

    An image is made again when its recipe changes, or with `force`. What mmdebstrap
    makes is kept in the folder `cache` (by default the user's own cache folder), for
    other engines. `report` is called with each line that the work says. Raises
    `ImageBuildError` or a `ProviderError`; a cancellation ends the work.
    """
    async with calling(docker_host) as calls:
        kept = f"{_KEPT}:{await _in_thread(lambda: recipe.digest)}"
        built = force or await _id_of(calls, kept) is None
        if built and recipe.base is None:
            await _bootstrap(calls, recipe, kept, cache, force, report)
        elif built:
            await _build(calls, recipe, kept, report)
        await _tag(calls, kept, tag)
        id = await _id_of(calls, tag)
    assert id is not None
    return BuiltImage(tag=tag, id=id, digest=recipe.digest, built=built)


async def _id_of(calls: Calls, image: str) -> str | None:
    try:
        found = await calls.get(f"images/{image}/json")
    except NotThereError:
        return None
    return str(found["Id"])


async def _tag(calls: Calls, image: str, tag: str) -> None:
    repository, name = split_tag(tag)
    parameters = {"repo": repository, "tag": name}
    await calls.send("POST", f"images/{image}/tag", parameters=parameters)


def split_tag(tag: str) -> tuple[str, str]:
    """Return an image's repository and tag, `latest` if it has none."""
    head, _, last = tag.rpartition("/")
    name, _, version = last.partition(":")
    return f"{head}/{name}" if head else name, version or "latest"


async def _build(calls: Calls, recipe: ImageRecipe, kept: str, report: Report) -> None:
    """Have the engine build from the base image, which it pulls if it lacks it."""
    arguments = {name: os.environ[name] for name in _PROXIES if os.environ.get(name)}
    context = await _in_thread(recipe.build_context)
    parameters = {
        "t": kept,
        "rm": "true",
        "forcerm": "true",
        "nocache": "true",
        "networkmode": "host",
        "buildargs": json.dumps(arguments),
    }
    said: list[str] = []
    async with aclosing(calls.stream("build", context, parameters)) as lines:
        async for line in lines:
            text = _text_of(line, f"building from {recipe.base}", said)
            for part in filter(None, map(str.strip, text.splitlines())):
                said.append(part)
                report(part)


def _text_of(line: dict[str, Any], doing: str, said: list[str]) -> str:
    """Return what a line of the engine's says; raises `ImageBuildError` for its faults.

    A base image that cannot be had is the commonest.
    """
    if fault := line.get("error"):
        last = " | ".join([*said[-5:], " ".join(str(fault).split())])
        raise ImageBuildError(f"{doing}: {last}")
    return str(line.get("stream") or line.get("status") or "")


async def _bootstrap(
    calls: Calls,
    recipe: ImageRecipe,
    kept: str,
    cache: Path | None,
    force: bool,
    report: Report,
) -> None:
    """Make a root file system here, and hand it over to the engine."""
    path = await root_filesystem(recipe, cache=cache, force=force, report=report)
    report(f"importing {path.name}")
    file = await _in_thread(path.open, "rb")
    id = ""
    try:
        answer = calls.stream("images/create", file, {"fromSrc": "-"})
        async with aclosing(answer) as lines:
            async for line in lines:
                id = _text_of(line, f"importing {path}", []).strip() or id
    except InvalidRequestError as error:
        raise ImageBuildError(f"importing {path}: {error}") from error
    finally:
        await _in_thread(file.close)
    # Only now a name: Podman would take the one of an import for a local one.
    await _tag(calls, id, kept)
