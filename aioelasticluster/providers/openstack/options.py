"""What a node may ask of OpenStack beyond image and flavor."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from aioelasticluster.errors import ConfigurationError
from aioelasticluster.model.records import NodeSpec
from aioelasticluster.providers.options import check_networks, places, read_options

#: Most bytes of user-data in base64: Nova's own limit.
USER_DATA_LIMIT = 65535

#: Policies of server groups that Nova knows, and what asks for none.
POLICIES = ("soft-anti-affinity", "anti-affinity", "soft-affinity", "affinity")
NO_GROUP = "none"

#: What is asked for where nothing is said, as far as the quota for groups goes.
SPREAD = "soft-anti-affinity"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStackOptions:
    """The options of `add_node` and `add_nodes` on OpenStack.

    Lists may be given as text with commas, too.
    """

    #: Networks to connect to, by id or name, all of them; the first one is the node's
    #: own. Without any the project must have exactly one.
    network_ids: tuple[str, ...] = ()
    #: Availability zones to try, in this order.
    zones: tuple[str, ...] = ()
    #: Flavors to try after the node's own, in every zone.
    flavors: tuple[str, ...] = ()
    #: An address of the first network for this one node.
    fixed_ip: str = ""
    #: Whether each node gets a floating address; they are released by `stop`.
    request_floating_ip: bool = False
    #: Where floating addresses come from, by id or name; else the external network.
    floating_network_id: str = ""
    #: How nodes are spread over hosts: a policy, the id or name of a server group of
    #: the user's own, or `none`. Where nothing is said they are softly kept apart, and
    #: only as far as the quotas of server groups and their members allow.
    server_group: str = ""
    #: Boot from a new volume of so many GiB, of this type (id or name; else Cinder's
    #: own choice); deleted with the node.
    boot_disk_size: int = 0
    boot_disk_type: str = ""
    #: Hand user-data over on a drive instead of the metadata service.
    config_drive: bool = False
    #: Make `security_group`, as `<name>-<first 8 of cluster id>`, with SSH from these
    #: networks (CIDR) and all traffic between the cluster's nodes.
    ssh_from: tuple[str, ...] = ()

    @classmethod
    def of(cls, spec: NodeSpec) -> OpenStackOptions:
        """Read a node's options; raises `ConfigurationError`."""
        options = cls(**read_options(cls, spec.options, "OpenStackCloudProvider"))
        options._check()
        return options

    def places(self) -> tuple[str, ...]:
        """Return where to launch, in order: the preferred flavor everywhere first."""
        return places(self.zones, self.flavors)

    @property
    def group(self) -> str:
        """The server group: a policy, an id or name, or `none`."""
        return self.server_group or SPREAD

    @property
    def policy(self) -> str:
        """The policy of a server group that is made, "" where none is."""
        return self.group if self.group in POLICIES else ""

    def _check(self) -> None:
        if self.boot_disk_type and not self.boot_disk_size:
            raise ConfigurationError(
                "boot_disk_size",
                0,
                "a volume needs a size",
                "Give GiB, or leave boot_disk_type out",
            )
        if self.floating_network_id and not self.request_floating_ip:
            raise ConfigurationError(
                "request_floating_ip",
                False,
                "a network for floating addresses is given, but none is asked for",
                "Set it to True, or leave floating_network_id out",
            )
        check_networks("ssh_from", self.ssh_from)
        try:
            if self.fixed_ip:
                ipaddress.ip_address(self.fixed_ip)
        except ValueError as fault:
            raise ConfigurationError(
                "fixed_ip", self.fixed_ip, str(fault), "Give an address: 192.0.2.7"
            ) from fault
