"""The services' own environment, and the folder that is kept from run to run."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.required import kept

_HERE = Path(__file__).parent

_REQUIREMENTS = _HERE / "requirements.txt"

#: The driver for neutron, which finds its drivers among the installed packages.
_ENTRY_POINT = """\
[neutron.ml2.mechanism_drivers]
any_host = tests.clouds.openstack.services.binding:AnyHost
"""

#: The code that decides what a new cloud's databases hold.
_MAKERS = (
    *("filling.py", "place.py", "schemas.py", "settings.py", "snapshots.py"),
    "users.py",
    *("services/databases.py", "services/neutron_tables.py"),
)

#: How long (seconds) the installation may take.
_PATIENCE = 900.0


class NotInstallableError(Exception):
    """The services cannot be had on this machine."""


@dataclass(frozen=True, slots=True)
class Cache:
    """The folder for what belongs to one set of versions."""

    folder: Path

    @classmethod
    def of_this_version(cls) -> Cache:
        """Return the folder for the pinned versions, under this Python."""
        version = f"{sysconfig.get_platform()} {sys.version}".encode()
        return cls(kept() / "openstack" / _digest(version, _REQUIREMENTS.read_bytes()))

    @property
    def complete(self) -> bool:
        """Whether the environment is there, whole."""
        return self._stamp.exists()

    @property
    def _stamp(self) -> Path:
        return self.environment / "complete"

    @property
    def environment(self) -> Path:
        """The services' environment."""
        return self.folder / "environment"

    @property
    def python(self) -> Path:
        """The interpreter that runs the services."""
        return self.environment / "bin" / "python"

    @property
    def snapshot(self) -> Path:
        """The databases of a cloud that was never used, made by the present code."""
        code = [(_HERE / name).read_bytes() for name in _MAKERS]
        return self.folder / f"cloud-{_digest(*code)}"

    def old_snapshots(self) -> list[Path]:
        """Return what former code has made, and drafts."""
        return [one for one in self.folder.glob("cloud-*") if one != self.snapshot]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Wait until nobody else makes anything here, and keep others out."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def install(self) -> None:
        """Make the environment unless it is complete; the lock has to be held."""
        if not self.complete:
            shutil.rmtree(self.environment, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(self.environment)])
            _run([str(self.python), *_PIP, "-r", str(_REQUIREMENTS)])
            self._announce_driver()
            self._stamp.touch()

    def addition(self, requirements: Path) -> Path:
        """Return the folder for packages that only some tests need."""
        return self.folder / f"{requirements.stem}-{_digest(requirements.read_bytes())}"

    def add(self, requirements: Path) -> Path:
        """Install such packages unless they are there; return their folder."""
        found = self.addition(requirements)
        with self.locked():
            if not found.exists():
                draft = found.with_suffix(".draft")
                shutil.rmtree(draft, ignore_errors=True)
                where = ("--target", str(draft))
                _run([str(self.python), *_PIP, *where, "-r", str(requirements)])
                draft.rename(found)
        return found

    def _announce_driver(self) -> None:
        command = "import sysconfig; print(sysconfig.get_path('purelib'))"
        packages = Path(_run([str(self.python), "-c", command]).strip())
        announced = packages / "aioec_any_host-1.dist-info"
        announced.mkdir()
        (announced / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: aioec-any-host\nVersion: 1\n"
        )
        (announced / "entry_points.txt").write_text(_ENTRY_POINT)


# The list is complete, so that nothing has to be resolved.
_PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")


def _digest(*contents: bytes) -> str:
    found = hashlib.sha256()
    for content in contents:
        found.update(hashlib.sha256(content).digest())
    return found.hexdigest()[:12]


def _run(command: list[str]) -> str:
    """Run a command and return what it prints; its failure is the last line it says."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=True,
        )
    except subprocess.CalledProcessError as fault:
        said = [line for line in fault.stderr.splitlines() if line.strip()]
        raise NotInstallableError(said[-1] if said else str(fault)) from fault
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise NotInstallableError(str(fault)) from fault
    return done.stdout
