"""The nodes of a cluster by name and kind: what is planned, and what there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from aioelasticluster.engine.handle import Handle
from aioelasticluster.errors import ConfigurationError
from aioelasticluster.model.names import (
    by_number,
    check_kind,
    check_node_name,
    fresh_names,
)
from aioelasticluster.model.records import NodeRecord, NodeSpec
from aioelasticluster.model.states import ClusterState, cluster_state
from aioelasticluster.model.user_data import check_user_data
from aioelasticluster.node import Node
from aioelasticluster.providers.base import AbstractCloudProvider
from aioelasticluster.repositories.base import AbstractClusterRepository
from aioelasticluster.setup.base import AbstractSetupProvider

#: Kinds that `frontend` looks for, in this order.
_FRONTENDS = ("ssh", "login", "frontend", "master")


class Roster:
    """The part of a cluster that touches no network: its plan and its nodes."""

    _handle: Handle

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self._handle.name

    @property
    def id(self) -> str:
        """The id that all its instances are tagged with: 32 hex digits."""
        return self._handle.journal.head.id

    @property
    def state(self) -> ClusterState:
        """What its nodes' states amount to."""
        journal = self._handle.journal
        states = [node.state for node in journal.nodes.values()]
        return cluster_state(journal.head.target, states)

    @property
    def cloud_provider(self) -> AbstractCloudProvider:
        """Where its instances come from."""
        return self._handle.provider

    @property
    def setup_provider(self) -> AbstractSetupProvider:
        """What sets it up."""
        return self._handle.setup

    @property
    def repository(self) -> AbstractClusterRepository:
        """Where it is recorded."""
        return self._handle.repository

    @property
    def nodes(self) -> dict[str, list[Node]]:
        """Its nodes by kind, in the order of their names."""
        by_kind: dict[str, list[Node]] = {}
        for node in self.get_all_nodes():
            by_kind.setdefault(node.kind, []).append(node)
        return by_kind

    def get_all_nodes(self) -> list[Node]:
        """Return all nodes, by name."""
        return [
            Node(self._handle, name)
            for name in sorted(self._handle.journal.nodes, key=by_number)
        ]

    def get_node_by_name(self, name: str) -> Node:
        """Return a node; raises `NodeNotFoundError`."""
        return Node(self._handle, self._handle.journal.node(name).name)

    @property
    def frontend(self) -> Node:
        """The node to log in to: `ssh_to`, or the first one of a kind that fits.

        Raises `NodeNotFoundError` if there are no nodes, or not that one.
        """
        by_kind, wanted = self.nodes, self._handle.journal.head.ssh_to
        if wanted:
            return (
                by_kind[wanted][0]
                if wanted in by_kind
                else self.get_node_by_name(wanted)
            )
        for kind in (*_FRONTENDS, *sorted(by_kind)):
            if kind in by_kind:
                return by_kind[kind][0]
        return self.get_node_by_name("frontend001")

    def ssh_config(self, known_hosts: str | Path | None = None) -> str:
        """Return a configuration with which OpenSSH reaches the nodes, checking on.

        It goes with a file of their host keys, which is written now: `known_hosts`,
        by default one of the cluster's own in the user's state folder, which `stop`
        removes. Raises `ConfigurationError` for what OpenSSH cannot be told.
        """
        return self._handle.ssh_config(known_hosts)

    # What is planned

    def add_node(
        self,
        kind: str,
        image_id: str,
        image_user: str,
        flavor: str,
        security_group: str,
        *,
        image_userdata: str = "",
        name: str | None = None,
        **options: Any,
    ) -> Node:
        """Plan one node; nothing is launched before `start`.

        Its name is `name`, or the next free one of its kind (`compute001`). Options
        are the provider's own. Raises `ConfigurationError`.
        """
        spec = self._spec(
            kind, image_id, image_user, flavor, security_group, image_userdata, options
        )
        journal = self._handle.journal
        if name is None:
            name = next(fresh_names(kind, journal.nodes))
        check_node_name(name)
        if name in journal.nodes:
            raise ConfigurationError(
                "name", name, "the cluster has a node of this name", "Choose another"
            )
        journal.plan(NodeRecord(name=name, spec=spec))
        return Node(self._handle, name)

    def add_nodes(
        self,
        kind: str,
        num: int,
        image_id: str,
        image_user: str,
        flavor: str,
        security_group: str,
        *,
        image_userdata: str = "",
        **options: Any,
    ) -> list[Node]:
        """Plan several equal nodes, as `add_node` does one."""
        if num < 0:
            raise ConfigurationError(
                "num", num, "not a number of nodes", "Give 0 or more"
            )
        spec = self._spec(
            kind, image_id, image_user, flavor, security_group, image_userdata, options
        )
        journal = self._handle.journal
        names = list(islice(fresh_names(kind, journal.nodes), num))
        journal.plan(*(NodeRecord(name=name, spec=spec) for name in names))
        return [Node(self._handle, name) for name in names]

    def _spec(
        self,
        kind: str,
        image_id: str,
        image_user: str,
        flavor: str,
        security_group: str,
        image_userdata: str,
        options: Mapping[str, Any],
    ) -> NodeSpec:
        check_kind(kind)
        check_user_data(image_userdata)
        spec = NodeSpec(
            kind=kind,
            image_id=image_id,
            image_user=image_user,
            flavor=flavor,
            security_group=security_group,
            image_userdata=image_userdata,
            options=dict(options),
        )
        self._handle.provider.check_options(spec)
        return spec

    def _planned(self) -> Counter[str]:
        return Counter(node.kind for node in self._handle.journal.nodes.values())

    def _chosen(
        self, kind: str | None, nodes: Iterable[Node | str] | None
    ) -> list[Node]:
        if nodes is not None:
            names = [n if isinstance(n, str) else n.name for n in nodes]
            return [self.get_node_by_name(name) for name in names]
        if kind is not None and kind not in self.nodes:
            raise ConfigurationError(
                "kind", kind, "no such kind", f"Kinds are: {', '.join(self.nodes)}"
            )
        return [n for n in self.get_all_nodes() if n.alive and kind in (None, n.kind)]

    def __repr__(self) -> str:
        counts = Counter(node.state for node in self.get_all_nodes())
        nodes = ", ".join(f"{count} {state}" for state, count in counts.items())
        return f"<Cluster {self.name} {self.state}: {nodes or 'no nodes'}>"
