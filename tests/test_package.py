"""The package as a whole: the size of its modules, and what its wheel brings along."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import aioelasticluster

PACKAGE = Path(aioelasticluster.__file__).parent
PROJECT = Path(__file__).parent.parent
LONGEST_MODULE = 400


def test_every_module_can_be_read_in_one_sitting() -> None:
    lines = {
        str(path.relative_to(PROJECT)): len(path.read_text().splitlines())
        for path in PACKAGE.rglob("*.py")
    }

    too_long = {path: count for path, count in lines.items() if count > LONGEST_MODULE}
    assert too_long == {}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel built from this tree, without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=PROJECT,
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_brings_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}

    ours = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == ours


@pytest.mark.parametrize(
    "file",
    [
        "py.typed",
        "setup/playbooks/main.yml",
        "setup/playbooks/roles/dask/tasks/main.yml",
        "setup/callback/aioec_stream.py",
    ],
)
def test_the_wheel_brings_what_only_runs_elsewhere(wheel: Path, file: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert f"aioelasticluster/{file}" in archive.namelist()


def test_the_wheel_brings_its_licence_and_its_version(wheel: Path) -> None:
    information = f"aioelasticluster-{aioelasticluster.__version__}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        licence = archive.read(f"{information}/licenses/LICENSE").decode()

    assert "Apache License" in licence
