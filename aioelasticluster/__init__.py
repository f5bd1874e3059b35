"""Compute clusters as coroutines: launch, verify, set up, use and stop them.

Adapters and whatever is heavy are loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aioelasticluster._version import __version__

if TYPE_CHECKING:
    from aioelasticluster._log import log as log
    from aioelasticluster.cluster import Cluster as Cluster
    from aioelasticluster.engine.orphans import Orphan as Orphan
    from aioelasticluster.engine.orphans import find_orphans as find_orphans
    from aioelasticluster.engine.orphans import terminate_orphans as terminate_orphans
    from aioelasticluster.errors import *  # noqa: F403  the tree is its own list
    from aioelasticluster.model.events import *  # noqa: F403  so are the events
    from aioelasticluster.model.records import NodeSpec as NodeSpec
    from aioelasticluster.model.reports import HostReport as HostReport
    from aioelasticluster.model.reports import NodeFault as NodeFault
    from aioelasticluster.model.reports import RunResult as RunResult
    from aioelasticluster.model.reports import SetupReport as SetupReport
    from aioelasticluster.model.reports import StartReport as StartReport
    from aioelasticluster.model.states import ClusterState as ClusterState
    from aioelasticluster.model.states import NodeState as NodeState
    from aioelasticluster.node import Node as Node
    from aioelasticluster.providers.base import (
        AbstractCloudProvider as AbstractCloudProvider,
    )
    from aioelasticluster.providers.containers import (
        ContainerCloudProvider as ContainerCloudProvider,
    )
    from aioelasticluster.providers.ec2 import BotoCloudProvider as BotoCloudProvider
    from aioelasticluster.providers.google import (
        GoogleCloudProvider as GoogleCloudProvider,
    )
    from aioelasticluster.providers.local import (
        LocalCloudProvider as LocalCloudProvider,
    )
    from aioelasticluster.providers.openstack import (
        OpenStackCloudProvider as OpenStackCloudProvider,
    )
    from aioelasticluster.repositories.base import (
        AbstractClusterRepository as AbstractClusterRepository,
    )
    from aioelasticluster.repositories.memory import MemRepository as MemRepository
    from aioelasticluster.repositories.pickle import (
        PickleRepository as PickleRepository,
    )
    from aioelasticluster.repositories.sqlite import (
        SqliteRepository as SqliteRepository,
    )
    from aioelasticluster.setup.ansible import (
        AnsibleSetupProvider as AnsibleSetupProvider,
    )
    from aioelasticluster.setup.base import (
        AbstractSetupProvider as AbstractSetupProvider,
    )

#: Where each public name lives.
_HOMES = {
    "AbstractCloudProvider": "providers.base",
    "AbstractClusterRepository": "repositories.base",
    "AbstractSetupProvider": "setup.base",
    "AnsibleSetupProvider": "setup.ansible",
    "BotoCloudProvider": "providers.ec2",
    "Cluster": "cluster",
    "ClusterState": "model.states",
    "ContainerCloudProvider": "providers.containers",
    "FaultPlan": "providers.faults",
    "GoogleCloudProvider": "providers.google",
    "HostReport": "model.reports",
    "LocalCloudProvider": "providers.local",
    "MemRepository": "repositories.memory",
    "Node": "node",
    "NodeFault": "model.reports",
    "NodeSpec": "model.records",
    "NodeState": "model.states",
    "OpenStackCloudProvider": "providers.openstack",
    "Orphan": "engine.orphans",
    "PickleRepository": "repositories.pickle",
    "RunResult": "model.reports",
    "SetupReport": "model.reports",
    "SqliteRepository": "repositories.sqlite",
    "StartReport": "model.reports",
    "find_orphans": "engine.orphans",
    "log": "_log",
    "terminate_orphans": "engine.orphans",
}
_ERRORS = (
    "AuthenticationError",
    "CapacityError",
    "ClusterBusyError",
    "ClusterExistsError",
    "ClusterNotFoundError",
    "ConfigurationError",
    "ElasticlusterError",
    "HostKeyError",
    "ImageBuildError",
    "InvalidRequestError",
    "InvalidTransitionError",
    "KeyPairError",
    "LeaseLostError",
    "NodeNotFoundError",
    "PauseTimeoutError",
    "ProviderError",
    "QuotaError",
    "RepositoryError",
    "SetupError",
    "SshError",
    "StartError",
    "StartTimeoutError",
    "StopTimeoutError",
    "ThrottledError",
    "TransientError",
    "UnauthorizedError",
    "UnknownOutcomeError",
    "UnreachableError",
    "UnsupportedError",
    "WrongAccountError",
)
_EVENTS = (
    "Event",
    "HostKeyKept",
    "HostKeyRotated",
    "NodeMoved",
    "OperationEnded",
    "OperationStarted",
    "OrderAnswered",
    "OrderSent",
    "RequestRetried",
    "SetupTaskDone",
    "SetupTaskStarted",
)
_HOMES |= dict.fromkeys(_ERRORS, "errors") | dict.fromkeys(_EVENTS, "model.events")

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if (home := _HOMES.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # A module of the same name (`log`) would hide what is in it: fetch and keep.
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
