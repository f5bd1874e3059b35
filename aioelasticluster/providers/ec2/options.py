"""What a node may ask of EC2 beyond image and flavor: names, kinds, cross-checks."""

from __future__ import annotations

from dataclasses import dataclass

from aioelasticluster.errors import ConfigurationError
from aioelasticluster.model.records import NodeSpec
from aioelasticluster.providers.options import check_networks, places, read_options

#: Most bytes of user-data, before it is encoded for the request.
USER_DATA_LIMIT = 16384

#: Disk types that have a choice of IOPS, and those that must be told.
_WITH_IOPS, _NEED_IOPS = frozenset({"gp3", "io1", "io2"}), frozenset({"io1", "io2"})
_DISK_TYPES = ("gp2", "gp3", "io1", "io2", "sc1", "st1", "standard")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ec2Options:
    """The options of `add_node` and `add_nodes` on EC2.

    Lists may be given as text with commas, too.
    """

    #: Availability zones to try, in this order.
    zones: tuple[str, ...] = ()
    #: Subnets to try instead, by id or name, in this order.
    subnets: tuple[str, ...] = ()
    #: Flavors to try after the node's own, in every zone or subnet.
    flavors: tuple[str, ...] = ()
    #: Subnets that each instance is connected to, all of them, in one zone.
    network_ids: tuple[str, ...] = ()
    #: Whether instances get a public address; None: what the subnet says.
    public_address: bool | None = None
    #: Whether each instance gets an elastic address; they are released by `stop`.
    request_floating_ip: bool = False
    #: Make `security_group`, as `<name>-<first 8 of cluster id>`, with SSH from these
    #: networks (CIDR) and all traffic between the cluster's nodes.
    ssh_from: tuple[str, ...] = ()
    #: Spot instances, for at most `price` (US dollars an hour; 0: the on-demand price).
    spot: bool = False
    price: float = 0.0
    #: Name or ARN of the instance profile (IAM).
    instance_profile: str = ""
    #: Placement group; made as `<name>-<first 8 of cluster id>` if it does not exist.
    placement_group: str = ""
    #: Root disk: its device (the image says it otherwise), GiB, type, IOPS.
    boot_disk_device: str = ""
    boot_disk_size: int = 0
    boot_disk_type: str = ""
    boot_disk_iops: int = 0

    @classmethod
    def of(cls, spec: NodeSpec) -> Ec2Options:
        """Read a node's options; raises `ConfigurationError`."""
        options = cls(**read_options(cls, spec.options, "BotoCloudProvider"))
        options._check()
        return options

    @property
    def on_spot(self) -> bool:
        """Whether spot instances are asked for; a price alone says so, too."""
        return self.spot or self.price > 0

    def places(self) -> tuple[str, ...]:
        """Return where to launch, in order: the preferred flavor everywhere first."""
        return places(self.subnets or self.zones, self.flavors)

    def _check(self) -> None:
        """Raise `ConfigurationError` for options that exclude one another."""
        given = [n for n in ("zones", "subnets", "network_ids") if getattr(self, n)]
        if len(given) > 1:
            raise ConfigurationError(
                given[1],
                list(getattr(self, given[1])),
                f"{given[0]} says already where instances go",
                "Give one of zones, subnets and network_ids",
            )
        if len(self.network_ids) > 1 and self.public_address:
            raise ConfigurationError(
                "public_address",
                True,
                "EC2 gives none to an instance with several networks",
                "Leave it out, or ask for request_floating_ip",
            )
        self._check_disk()
        check_networks("ssh_from", self.ssh_from)

    def _check_disk(self) -> None:
        kind, iops = self.boot_disk_type, self.boot_disk_iops
        if kind and kind not in _DISK_TYPES:
            raise ConfigurationError(
                "boot_disk_type",
                kind,
                "not a type of disk",
                f"Types are {', '.join(_DISK_TYPES)}",
            )
        if iops and kind not in _WITH_IOPS:
            raise ConfigurationError(
                "boot_disk_iops",
                iops,
                f"a disk of type {kind or '(unsaid)'} has no choice of IOPS",
                f"Set boot_disk_type to one of {', '.join(sorted(_WITH_IOPS))}",
            )
        if kind in _NEED_IOPS and not iops:
            raise ConfigurationError(
                "boot_disk_iops",
                iops,
                f"type {kind} needs it",
                "Give IOPS, more than 0",
            )
