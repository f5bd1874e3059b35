"""A cluster in Ansible's words: the inventory and the variables, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aioelasticluster.setup.base import SetupCluster, SetupHost
from aioelasticluster.setup.catalogue import GROUPS, canonical

#: The address at which the others reach a host, as a template for Ansible: the one we
#: use if the host has it itself, else (behind NAT) that of its default route.
ADDRESS = (
    "{{ ansible_host"
    " if ansible_host in (ansible_facts.all_ipv4_addresses | default([]))"
    " + (ansible_facts.all_ipv6_addresses | default([]))"
    " else ansible_facts.default_ipv4.address | default(ansible_host) }}"
)

#: Whether a host is a container, likewise: some of what it has is another's.
CONTAINED = (
    "{{ ansible_facts.virtualization_tech_guest | default([])"
    " | intersect(['container', 'containerd', 'docker', 'lxc', 'podman'])"
    " | length > 0 }}"
)


def members(
    groups: Mapping[str, Sequence[str]], hosts: Sequence[SetupHost]
) -> dict[str, list[str]]:
    """Return the names of the hosts in each Ansible group."""
    inside: dict[str, list[str]] = {}
    for host in hosts:
        for group in dict.fromkeys(map(canonical, groups.get(host.kind, ()))):
            inside.setdefault(group, []).append(host.name)
    return inside


def inventory(
    cluster: SetupCluster,
    groups: Mapping[str, Sequence[str]],
    variables: Mapping[str, Any],
    kind_variables: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the inventory, in the shape of Ansible's YAML inventories.

    Every group that our roles serve is there, if only without hosts.
    """
    hosts = {
        host.name: {**kind_variables.get(host.kind, {}), **_reached(cluster, host)}
        for host in cluster.hosts
    }
    inside: dict[str, list[str]] = {group: [] for group in GROUPS} | members(
        groups, cluster.hosts
    )
    children: dict[str, Any] = {
        group: {"hosts": {name: {} for name in names}}
        for group, names in inside.items()
    }
    everyone = {**variables, **_known_to_all(cluster)}
    return {"all": {"hosts": hosts, "vars": everyone, "children": children}}


def _reached(cluster: SetupCluster, host: SetupHost) -> dict[str, Any]:
    """Return how Ansible reaches a host: by its alias's keys, at its address."""
    facts: dict[str, Any] = {
        "ansible_host": host.address,
        "ansible_port": host.port,
        "ansible_user": host.login,
        "ansible_ssh_common_args": f"-o HostKeyAlias={cluster.alias_of(host)}",
        "aioec_kind": host.kind,
    }
    if not cluster.capabilities.root:
        facts["ansible_shell_type"] = "aioec_home"
    if cluster.capabilities.python:
        facts["ansible_python_interpreter"] = cluster.capabilities.python
    return facts


def _known_to_all(cluster: SetupCluster) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "aioec_address": ADDRESS,
        "aioec_contained": CONTAINED,
        "aioec_cluster_id": cluster.id,
        "aioec_cluster_name": cluster.name,
        "aioec_root": cluster.capabilities.root,
        "aioec_systemd": cluster.capabilities.systemd,
    }
    if cluster.private_key_path:
        facts["ansible_ssh_private_key_file"] = cluster.private_key_path
    return facts


def elasticluster_facts(cluster: SetupCluster, output_folder: str) -> dict[str, Any]:
    """Return what ElastiCluster gave to playbooks as `elasticluster`, less secrets.

    So playbooks that were written for it find the cluster's name and its nodes.
    """
    nodes = {
        host.name: {
            "name": host.name,
            "kind": host.kind,
            "ips": [host.address],
            "preferred_ip": host.address,
            "image_user": host.login,
        }
        for host in cluster.hosts
    }
    return {
        "name": cluster.name,
        "nodes": nodes,
        "output_dir": output_folder,
        "cloud": {},
    }
