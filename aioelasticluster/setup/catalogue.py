"""The Ansible groups that the packaged playbook serves, as a table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

from aioelasticluster.errors import ConfigurationError
from aioelasticluster.model.capabilities import Requirements


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What membership of an Ansible group means.

    `needs` are groups without which this one cannot work, unless the variable
    `instead` says what takes their place; `aliases` are names that ElastiCluster also
    took for it; `single` groups have one host at most. A host in a group that `hears`
    is set up again whenever another host comes to a group of the same role: a
    controller that has to know its workers. `root` and `systemd` are what the role
    needs on the host.
    """

    role: str
    needs: tuple[str, ...] = ()
    instead: str = ""
    aliases: tuple[str, ...] = ()
    single: bool = False
    hears: bool = False
    root: bool = False
    systemd: bool = False


#: Every group that a role of ours serves. A new role adds its lines here.
GROUPS: Mapping[str, Group] = MappingProxyType(
    {
        "dask_scheduler": Group(role="dask", single=True),
        "dask_worker": Group(role="dask", needs=("dask_scheduler",)),
        "glusterfs_client": Group(
            role="glusterfs",
            needs=("glusterfs_server",),
            aliases=("gluster_client",),
            root=True,
            systemd=True,
        ),
        "glusterfs_server": Group(
            role="glusterfs",
            aliases=("gluster_data",),
            hears=True,
            root=True,
            systemd=True,
        ),
        "gridengine_master": Group(
            role="gridengine", single=True, hears=True, root=True, systemd=True
        ),
        "gridengine_worker": Group(
            role="gridengine",
            needs=("gridengine_master",),
            aliases=("gridengine_clients",),
            root=True,
            systemd=True,
        ),
        "hpc": Group(role="hpc", root=True, systemd=True),
        "jupyterhub": Group(role="jupyterhub", root=True, systemd=True),
        "monitoring_node": Group(
            role="monitoring", aliases=("ganglia_monitor",), root=True, systemd=True
        ),
        "monitoring_server": Group(
            role="monitoring",
            aliases=("ganglia_master", "ganglia_collector", "ganglia_web"),
            hears=True,
            root=True,
            systemd=True,
        ),
        "nfs_client": Group(
            role="nfs",
            needs=("nfs_server",),
            instead="NFS_MOUNTS",
            root=True,
            systemd=True,
        ),
        "nfs_server": Group(
            role="nfs", aliases=("nfs-server",), hears=True, root=True, systemd=True
        ),
        "ray_head": Group(role="ray", single=True),
        "ray_worker": Group(role="ray", needs=("ray_head",)),
        "slurm_master": Group(
            role="slurm",
            single=True,
            hears=True,
            root=True,
            systemd=True,
        ),
        "slurm_worker": Group(
            role="slurm", needs=("slurm_master",), root=True, systemd=True
        ),
        "slurm_submit": Group(
            role="slurm",
            needs=("slurm_master",),
            aliases=("slurm_client",),
            hears=True,
            root=True,
            systemd=True,
        ),
        "spark_master": Group(role="spark", single=True),
        "spark_worker": Group(role="spark", needs=("spark_master",)),
    }
)

#: Variables of ElastiCluster's that nothing here reads any more, and why.
IGNORED: Mapping[str, str] = MappingProxyType(
    {
        "glusterfs_stripes": "Gluster has had no striped volumes since version 6",
        "glusterfs_version": "the version is the one that the nodes' system packages",
        "slurm_version": "the version is the one that the nodes' system packages",
        "SLURM_MASTER_HOST": "it is the host in slurm_master",
        "SLURM_MASTER_ADDR": "it is that of the host in slurm_master",
        "SLURM_ACCOUNTING_HOST": "accounts are kept on the host in slurm_master",
    }
)

_ALIASES = {alias: name for name, group in GROUPS.items() for alias in group.aliases}


def canonical(group: str) -> str:
    """Return today's name of a group; one that is not ours stays as it is."""
    return _ALIASES.get(group, group)


def check_known(groups: Iterable[str]) -> None:
    """Raise `ConfigurationError` for a group that no packaged role serves."""
    for group in groups:
        if canonical(group) not in GROUPS:
            close = get_close_matches(group, [*GROUPS, *_ALIASES], n=2)
            raise ConfigurationError(
                "groups",
                group,
                "no packaged role serves this Ansible group",
                f"Did you mean {' or '.join(close)}?"
                if close
                else f"Give a playbook of your own, or use: {', '.join(GROUPS)}",
            )


def check_companions(
    members: Mapping[str, Collection[str]], variables: Collection[str] = ()
) -> None:
    """Raise `ConfigurationError` for groups that cannot work as they are filled.

    `members` says who is in each group: kinds before a launch, hosts after it.
    `variables` are the names of those that are set.
    """
    for name, inside in members.items():
        group = GROUPS.get(name)
        if group is None or not inside:
            continue
        for needed in group.needs:
            if not members.get(needed) and group.instead not in variables:
                raise ConfigurationError(
                    "groups",
                    name,
                    f"it needs a host in the group {needed}, and there is none",
                    f"Put a kind of node into {needed}"
                    + (f", or set {group.instead}" if group.instead else ""),
                )
        if group.single and len(inside) > 1:
            raise ConfigurationError(
                "groups",
                name,
                f"it can have one host only, not {', '.join(sorted(inside))}",
                f"Leave one in {name}",
            )


def hearing(
    members: Mapping[str, Collection[str]], coming: Collection[str]
) -> set[str]:
    """Return the hosts that must hear of those that come, and are none of them."""
    roles = {
        GROUPS[name].role
        for name, inside in members.items()
        if name in GROUPS and not set(coming).isdisjoint(inside)
    }
    hearers = (
        inside
        for name, inside in members.items()
        if name in GROUPS and GROUPS[name].hears and GROUPS[name].role in roles
    )
    return {host for inside in hearers for host in inside} - set(coming)


def requirements(groups: Iterable[str]) -> Requirements:
    """Return what the groups' roles need of their hosts."""
    used = [name for name in dict.fromkeys(map(canonical, groups)) if name in GROUPS]
    return Requirements(
        root=_needing([name for name in used if GROUPS[name].root]),
        systemd=_needing([name for name in used if GROUPS[name].systemd]),
    )


def _needing(names: list[str]) -> str:
    return ", ".join(f"group {name}" for name in names)
