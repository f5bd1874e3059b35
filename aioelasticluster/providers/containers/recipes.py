"""What an image for nodes is made of, and what tells one such image from another."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aioelasticluster.errors import ConfigurationError
from aioelasticluster.providers.containers.scripts import FINISH

#: Where administrators of Debian and its kin put certificates of their own authorities.
OWN_AUTHORITIES = Path("/usr/local/share/ca-certificates")

#: Which Debian is made where no base image is used.
SUITE = "bookworm"

#: What every node needs, so that it can be reached and set up.
PACKAGES = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "iputils-ping",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
)

_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.:-]+")

_DOCKERFILE = """\
FROM {base}
COPY . /aioelasticluster-build
RUN /bin/sh /aioelasticluster-build/finish.sh && rm -r /aioelasticluster-build
CMD ["/usr/lib/systemd/systemd"]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecipe:
    """How to make an image.

    `base` is the image to start from, None: a Debian that mmdebstrap makes here.
    `packages` are installed beside `PACKAGES`; `downloads` are only kept in the image's
    package cache, with all that they need, so that set-up installs them quickly and
    without a network. `authorities` are certificates (PEM) by file name that programs
    in the image trust, too.
    """

    base: str | None = "debian:12"
    packages: tuple[str, ...] = ()
    downloads: tuple[str, ...] = ()
    authorities: Mapping[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, given in (("packages", self.packages), ("downloads", self.downloads)):
            _check_packages(name, given)
        if self.base is not None and (
            not self.base or self.base.split() != [self.base]
        ):
            raise ConfigurationError(
                "base", self.base, "not an image's name", "Give one such as debian:12"
            )

    @property
    def digest(self) -> str:
        """What changes with anything that the image is made of."""
        parts = [self.base or f"mmdebstrap {SUITE}", _DOCKERFILE]
        found = hashlib.sha256(json.dumps(parts).encode())
        for path, content in sorted(self.context().items()):
            found.update(json.dumps([path, len(content)]).encode() + content)
        return found.hexdigest()[:16]

    def context(self) -> Mapping[str, bytes]:
        """Return the files that `finish.sh` works with, and itself, by path."""
        packages = sorted({*PACKAGES, *self.packages})
        files = {
            "finish.sh": FINISH.encode(),
            "packages": _lines(packages),
            "downloads": _lines(sorted(set(self.downloads))),
            "certificates/none": b"",  # so that the folder is there
        }
        for name, content in self.authorities.items():
            files[f"certificates/{name}"] = content
        return files

    def build_context(self) -> bytes:
        """Return the archive that an engine builds the image from."""
        dockerfile = _DOCKERFILE.format(base=self.base).encode()
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for path, content in {"Dockerfile": dockerfile, **self.context()}.items():
                member = tarfile.TarInfo(path)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return buffer.getvalue()

    def lay_out(self, folder: Path) -> None:
        """Write the files into a folder."""
        for path, content in self.context().items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)


def own_authorities(folder: Path = OWN_AUTHORITIES) -> Mapping[str, bytes]:
    """Return the certificates of this machine's own authorities, by file name."""
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.crt"))}


def _lines(words: Iterable[str]) -> bytes:
    return "".join(f"{word}\n" for word in words).encode()


def _check_packages(field: str, names: Iterable[str]) -> None:
    for name in names:
        if not _PACKAGE.fullmatch(name):
            raise ConfigurationError(
                field, name, "not a Debian package's name", "Give names such as gcc"
            )
