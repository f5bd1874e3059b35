"""What a node may ask of a container engine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from aioelasticluster.errors import ConfigurationError
from aioelasticluster.model.records import NodeSpec
from aioelasticluster.providers.options import read_options

#: Most bytes of user-data: they travel in one variable of the container's environment.
USER_DATA_LIMIT = 32 * 1024

#: What engines take as the name of a volume.
_VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]+")

#: What the engines take as the name of a capability.
_CAPABILITY = re.compile(r"(?!CAP_)[A-Z][A-Z_]+")

#: The least memory (MiB) with which systemd and an SSH server come up.
_LEAST_MEMORY = 64


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume, or a folder of the engine's machine, in a container."""

    source: str
    target: str
    read_only: bool = False

    @classmethod
    def parsed(cls, text: str) -> Mount:
        """Read `source:target` or `source:target:ro`; raises `ConfigurationError`."""
        source, _, rest = text.partition(":")
        target, _, mode = rest.partition(":")
        named = _VOLUME.fullmatch(source) is not None
        if not (named or source.startswith("/")):
            raise _bad(text, "the source is neither a volume's name nor a full path")
        if not target.startswith("/") or PurePosixPath(target) == PurePosixPath("/"):
            raise _bad(text, "the target is not a full path below /")
        if mode not in ("", "ro", "rw"):
            raise _bad(text, f"{mode!r} is not a mode")
        return cls(source, target, mode == "ro")

    @property
    def named(self) -> bool:
        """Whether the source is a volume rather than a folder."""
        return not self.source.startswith("/")

    def bind(self, source: str) -> str:
        """Return what the engine is told, with the source's name there."""
        return f"{source}:{self.target}:{'ro' if self.read_only else 'rw'}"


def _bad(text: str, problem: str) -> ConfigurationError:
    return ConfigurationError(
        "volumes", text, problem, "Give volumes such as home:/home or /data:/data:ro"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerOptions:
    """The options of `add_node` and `add_nodes` on a container engine.

    Lists may be given as text with commas, too.
    """

    #: The image that the node runs, instead of the provider's.
    image: str = ""
    #: Most processors that it may use, such as 1.5; 0: all there are.
    cpus: float = 0.0
    #: Most memory that it may use, in MiB, without swap; 0: all there is.
    memory: int = 0
    #: Volumes (`home:/home`) or folders of the engine's machine (`/data:/data:ro`).
    #: A volume that exists is the user's own. One that does not is made, as
    #: `<name>-<first 8 of cluster id>`, shared by all nodes that name it, and removed
    #: by `stop`.
    volumes: tuple[str, ...] = ()
    #: Devices of the engine's machine that it may use, such as `/dev/fuse`, by which
    #: Gluster is mounted.
    devices: tuple[str, ...] = ()
    #: Capabilities that its root has beside those that systemd needs, such as
    #: `DAC_READ_SEARCH`, without which NFS-Ganesha does not serve.
    capabilities: tuple[str, ...] = ()

    @classmethod
    def of(cls, spec: NodeSpec) -> ContainerOptions:
        """Read a node's options; raises `ConfigurationError`."""
        options = cls(**read_options(cls, spec.options, "ContainerCloudProvider"))
        if 0 < options.memory < _LEAST_MEMORY:
            raise ConfigurationError(
                "memory",
                options.memory,
                f"too little for systemd and an SSH server ({_LEAST_MEMORY} MiB)",
                "Give MiB, or leave it out",
            )
        targets = [mount.target for mount in options.mounts()]
        for target in targets:
            if targets.count(target) > 1:
                raise ConfigurationError(
                    "volumes",
                    options.volumes,
                    f"two of them are to be at {target}",
                    "Give each a place of its own",
                )
        options._check_rights()
        return options

    def _check_rights(self) -> None:
        """Raise `ConfigurationError` for what can be neither device nor capability."""
        for device in self.devices:
            if not device.startswith("/dev/"):
                raise ConfigurationError(
                    "devices", device, "not a path below /dev", "Give /dev/fuse, say"
                )
        for name in self.capabilities:
            if not _CAPABILITY.fullmatch(name):
                raise ConfigurationError(
                    "capabilities",
                    name,
                    "not the name of a capability",
                    "Write it as in capabilities(7), without CAP_: DAC_READ_SEARCH",
                )

    def mounts(self) -> tuple[Mount, ...]:
        """Return the volumes, taken apart."""
        return tuple(map(Mount.parsed, self.volumes))
