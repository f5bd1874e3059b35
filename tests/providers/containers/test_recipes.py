"""Recipes of images: what they are told apart by, and what cannot be in one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from aioelasticluster import ConfigurationError
from aioelasticluster.providers.containers.building import split_tag
from aioelasticluster.providers.containers.recipes import (
    ImageRecipe,
    own_authorities,
)


def test_a_recipe_is_told_from_another_by_all_that_it_holds() -> None:
    plain = ImageRecipe()
    others = [
        replace(plain, base="debian:13"),
        replace(plain, base=None),
        replace(plain, packages=("gcc",)),
        replace(plain, downloads=("gcc",)),
        replace(plain, authorities={"own.crt": b"one"}),
        replace(plain, authorities={"own.crt": b"another"}),
    ]
    digests = {one.digest for one in (plain, *others)}
    assert len(digests) == len(others) + 1
    assert ImageRecipe(packages=("b1", "a1")).digest == (
        ImageRecipe(packages=("a1", "b1")).digest
    )


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"packages": ("gcc; reboot",)}, "packages"),
        ({"downloads": ("--help",)}, "downloads"),
        ({"base": "debian:12\nRUN"}, "base"),
        ({"base": ""}, "base"),
    ],
)
def test_what_cannot_be_in_a_recipe_is_refused(
    arguments: dict[str, tuple[str, ...]], field: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ImageRecipe(**arguments)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_certificates_of_this_machine_s_own_authorities_are_found(
    tmp_path: Path,
) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "own.crt").write_bytes(b"a certificate")
    (tmp_path / "readme").write_text("none")
    assert own_authorities(tmp_path) == {"own.crt": b"a certificate"}
    assert own_authorities(tmp_path / "missing") == {}


@pytest.mark.parametrize(
    ("tag", "parts"),
    [
        ("host", ("host", "latest")),
        ("host:1", ("host", "1")),
        ("localhost:5000/me/host", ("localhost:5000/me/host", "latest")),
        ("localhost:5000/me/host:1", ("localhost:5000/me/host", "1")),
    ],
)
def test_a_tag_is_taken_apart_where_its_last_part_says(
    tag: str, parts: tuple[str, str]
) -> None:
    assert split_tag(tag) == parts
