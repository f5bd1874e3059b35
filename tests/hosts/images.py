"""The image of the tests' hosts, made once per recipe and kept in the tests' cache."""

from __future__ import annotations

import asyncio
import fcntl
from pathlib import Path

from aioelasticluster.providers.containers.building import BuiltImage, build_image
from aioelasticluster.providers.containers.recipes import ImageRecipe, own_authorities
from tests.required import kept

#: What the tests' image is called.
TAG = "aioelasticluster-tests:latest"

#: Packages that roles install, which lie ready in the image: neither the network nor
#: its pace counts then. Extend it for what a new role installs on Debian.
DOWNLOADS = (
    *("slurm-wlm", "slurmctld", "slurmd", "slurmdbd", "slurm-client", "munge"),
    *("mariadb-server", "python3-pymysql"),
    *("gridengine-master", "gridengine-exec", "gridengine-client"),
    *("nfs-kernel-server", "nfs-common", "nfs-ganesha", "nfs-ganesha-vfs"),
    *("netbase", "libnfs-utils"),
    *("openmpi-bin", "libopenmpi-dev", "environment-modules", "gcc", "g++", "make"),
    *("pdsh", "clustershell"),
    *("glusterfs-server", "glusterfs-client"),
    *("prometheus", "prometheus-node-exporter"),
    *("openjdk-17-jre-headless", "python3-venv", "python3-pip"),
)


#: How many images are kept.
_KEPT = 3


def recipe() -> ImageRecipe:
    """Return the recipe; the Debian is made here, since no registry need be there."""
    return ImageRecipe(base=None, downloads=DOWNLOADS, authorities=own_authorities())


def have_image(docker_host: str) -> BuiltImage:
    """Have an engine hold the tests' image; the first time it takes a minute."""
    folder = kept() / "hosts"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = recipe()
        built = asyncio.run(
            build_image(
                wanted, tag=TAG, docker_host=docker_host, cache=folder / "images"
            )
        )
        _forget_old(folder / "images")
    return built


def _forget_old(folder: Path) -> None:
    """Keep the images that were used last: other checkouts may have other recipes."""
    made = sorted(folder.glob("*.tar"), key=lambda path: path.stat().st_mtime)
    for old in made[:-_KEPT]:
        old.unlink(missing_ok=True)
