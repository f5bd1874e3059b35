"""README says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import aioelasticluster
from aioelasticluster.model.states import mermaid

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_diagram_of_states_is_that_of_the_table() -> None:
    assert f"```mermaid\n{mermaid()}\n```" in README


@pytest.mark.parametrize("title", ["Quick start", "Tests"])
def test_a_command_is_one_line_to_copy(title: str) -> None:
    (block,) = re.findall(r"```sh\n(.*?)```", section(title), re.DOTALL)
    assert block.strip()
    assert block.count("\n") == 1


def test_every_test_and_benchmark_that_it_names_exists() -> None:
    promises = section("What you can rely on")
    named = re.findall(r"`((?:tests|benchmarks)/[\w/.]*)`", promises)
    assert len(named) >= 6
    for path in named:
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("name", ["LocalCloudProvider", "AnsibleSetupProvider"])
def test_the_classes_that_it_names_can_be_imported(name: str) -> None:
    assert name in README
    assert getattr(aioelasticluster, name).__name__ == name


def test_all_that_the_package_offers_can_be_imported() -> None:
    for name in aioelasticluster.__all__:
        assert getattr(aioelasticluster, name) is not None
