"""Which adapter a recorded name means, and which one is taken where none is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, cast

from aioelasticluster.errors import ConfigurationError
from aioelasticluster.model.codec import check_plain
from aioelasticluster.model.records import AdapterSettings, ClusterHead
from aioelasticluster.providers.base import AbstractCloudProvider
from aioelasticluster.repositories.base import AbstractClusterRepository
from aioelasticluster.setup.base import AbstractSetupProvider
from aioelasticluster.ssh.base import AbstractTransport

_PROVIDERS = {
    "containers": "aioelasticluster.providers.containers:ContainerCloudProvider",
    "ec2": "aioelasticluster.providers.ec2:BotoCloudProvider",
    "google": "aioelasticluster.providers.google:GoogleCloudProvider",
    "openstack": "aioelasticluster.providers.openstack:OpenStackCloudProvider",
    "local": "aioelasticluster.providers.local:LocalCloudProvider",
}
_SETUPS = {"ansible": "aioelasticluster.setup.ansible:AnsibleSetupProvider"}


def rebuild_provider(recorded: AdapterSettings) -> AbstractCloudProvider:
    """Return the recorded cloud provider; raises `ConfigurationError`."""
    known = _known(AbstractCloudProvider)
    make = _adapter("cloud_provider", recorded.adapter, _PROVIDERS, known)
    return cast("AbstractCloudProvider", make(**recorded.settings))


def rebuild_setup(recorded: AdapterSettings) -> AbstractSetupProvider:
    """Return the recorded set-up provider; raises `ConfigurationError`."""
    known = _known(AbstractSetupProvider)
    make = _adapter("setup_provider", recorded.adapter, _SETUPS, known)
    return cast("AbstractSetupProvider", make(**recorded.settings))


def settings_of(
    field: str, adapter: AbstractCloudProvider | AbstractSetupProvider
) -> AdapterSettings:
    """Return what rebuilds an adapter; raises `TypeError` if it is not plain data."""
    settings = dict(adapter.settings())
    check_plain(f"{field}.settings()", settings)
    return AdapterSettings(adapter=adapter.adapter, settings=settings)


def default_repository() -> AbstractClusterRepository:
    """Return a repository that lasts as long as this process."""
    from aioelasticluster.repositories.memory import MemRepository

    return MemRepository()


def default_transport(head: ClusterHead, passphrase: str) -> AbstractTransport:
    """Return the way to a cluster's nodes: SSH."""
    from aioelasticluster.ssh.transport import SshTransport

    return SshTransport(
        head.ssh_key_pub, head.ssh_key_priv, passphrase=passphrase, proxy=head.ssh_proxy
    )


def _adapter(
    field: str, adapter: str, ours: Mapping[str, str], known: Mapping[str, type]
) -> type:
    """Find an adapter's class; a record never makes us import a stranger's module."""
    if place := ours.get(adapter):
        module, _, name = place.partition(":")
        return cast("type", getattr(import_module(module), name))
    if adapter in known:
        return known[adapter]
    raise ConfigurationError(
        field,
        adapter,
        "the cluster was made with an adapter that is not imported",
        f"Import its module first, or give {field}=…",
    )


def _known(contract: type) -> dict[str, type]:
    """Return the adapters that are imported, by name."""
    return {
        child.adapter: child
        for child in _subclasses(contract)
        if isinstance(getattr(child, "adapter", None), str)
    }


def _subclasses(kind: Any) -> Iterator[Any]:
    for child in kind.__subclasses__():
        yield child
        yield from _subclasses(child)
