"""What a node may ask of Google beyond image and flavor."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aioelasticluster.errors import ConfigurationError
from aioelasticluster.model.records import NodeSpec
from aioelasticluster.providers.options import check_networks, places, read_options

#: Most bytes of one metadata value.
USER_DATA_LIMIT = 262144

_INTERFACES = ("NVME", "SCSI")
_SHAPES = ("", "ANY", "ANY_SINGLE_ZONE", "BALANCED")
_TAG = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_SCOPE = "https://www.googleapis.com/auth/"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleOptions:
    """The options of `add_node` and `add_nodes` on Google Compute Engine.

    Lists may be given as text with commas, too.
    """

    #: Zones to try, in this order, instead of the provider's; a region lets Google
    #: choose the zone.
    zones: tuple[str, ...] = ()
    #: How Google chooses among a region's zones: ANY_SINGLE_ZONE (which it does
    #: without a word), ANY or BALANCED; and zones of it that it leaves out.
    target_shape: str = ""
    avoid_zones: tuple[str, ...] = ()
    #: Flavors (machine types) to try after the node's own, in every zone.
    flavors: tuple[str, ...] = ()
    #: Network and subnetwork, by name; the project's `default` without them.
    network: str = ""
    subnetwork: str = ""
    #: Whether instances get a public address.
    public_address: bool = True
    #: Network tags, for firewall rules.
    tags: tuple[str, ...] = ()
    #: Make firewall rules: SSH from these networks (CIDR), and all traffic between the
    #: cluster's nodes; removed by `stop`.
    ssh_from: tuple[str, ...] = ()
    #: Boot disk: GiB (the image's own size otherwise) and type.
    boot_disk_size: int = 0
    boot_disk_type: str = "pd-standard"
    #: Local SSDs: how many, and how they are attached.
    local_ssd_count: int = 0
    local_ssd_interface: str = "SCSI"
    #: Accelerators: how many of a type, such as nvidia-tesla-t4.
    accelerator_count: int = 0
    accelerator_type: str = ""
    min_cpu_platform: str = ""
    #: Spot instances, which Google may take back at any time. `scheduling` takes
    #: `preemptible`, as ElastiCluster's does.
    spot: bool = False
    scheduling: str = ""
    #: After how many seconds Google deletes an instance by itself; 0: never.
    max_run_duration: int = 0
    #: The service account that programs on an instance act as, and its scopes.
    service_account: str = ""
    scopes: tuple[str, ...] = ()
    #: Whether the project's own SSH keys are accepted, too.
    allow_project_ssh_keys: bool = True

    @classmethod
    def of(cls, spec: NodeSpec) -> GoogleOptions:
        """Read a node's options; raises `ConfigurationError`."""
        options = cls(**read_options(cls, spec.options, "GoogleCloudProvider"))
        options._check()
        return options

    @property
    def on_spot(self) -> bool:
        """Whether Google may take instances back."""
        return self.spot or self.scheduling == "preemptible"

    def places(self, zone: str) -> tuple[str, ...]:
        """Return where to launch, in order: the preferred flavor everywhere first."""
        return places(self.zones or (zone,), self.flavors)

    def _check(self) -> None:
        self._check_hardware()
        if self.scheduling not in ("", "preemptible"):
            raise ConfigurationError(
                "scheduling", self.scheduling, "unknown", "Give preemptible, or nothing"
            )
        for tag in self.tags:
            if not _TAG.fullmatch(tag):
                raise ConfigurationError(
                    "tags",
                    tag,
                    "not a network tag",
                    "Use small letters, digits and -, beginning with a letter",
                )
        check_networks("ssh_from", self.ssh_from)
        if self.target_shape not in _SHAPES:
            raise ConfigurationError(
                "target_shape",
                self.target_shape,
                "not a way to choose zones",
                f"Use one of {', '.join(filter(None, _SHAPES))}",
            )

    def _check_hardware(self) -> None:
        if bool(self.accelerator_count) != bool(self.accelerator_type):
            absent = "type" if self.accelerator_count else "count"
            field = f"accelerator_{absent}"
            raise ConfigurationError(
                field,
                getattr(self, field),
                "accelerators need a type and a number",
                "Give both, or none of them",
            )
        if self.local_ssd_interface not in _INTERFACES:
            raise ConfigurationError(
                "local_ssd_interface",
                self.local_ssd_interface,
                "not an interface of local SSDs",
                f"Use one of {', '.join(_INTERFACES)}",
            )

    def full_scopes(self) -> list[str]:
        """Return the service account's scopes as URLs."""
        scopes = self.scopes or ("cloud-platform",)  # the account's roles decide
        return [s if "/" in s else f"{_SCOPE}{s}" for s in scopes]
