"""Set-up from the engine's side: what the tool sees, what its report changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from aioelasticluster.engine.operation import Operation
from aioelasticluster.errors import ConfigurationError
from aioelasticluster.model.capabilities import Capabilities, Requirements
from aioelasticluster.model.records import NodeRecord
from aioelasticluster.model.reports import SetupReport
from aioelasticluster.model.states import UP, NodeState
from aioelasticluster.setup.base import (
    AbstractSetupProvider,
    SetupCluster,
    SetupHost,
)

#: How a fault that set-up found begins in a node's record.
SETUP_FAULT = "setup: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """What set-up needs to log in, and no record holds."""

    private_key_path: str
    passphrase: str = ""


def check_requirements(needs: Requirements, offers: Capabilities, cloud: str) -> None:
    """Raise `ConfigurationError` for set-up that these instances cannot bear."""
    for need, asked, offered in (
        ("root", needs.root, offers.root),
        ("systemd", needs.systemd, offers.systemd),
    ):
        if asked and not offered:
            raise ConfigurationError(
                "groups",
                asked,
                f"needs {need} on its instances, which {cloud} does not have",
                "Use ContainerCloudProvider or a cloud",
            )


def choose(
    nodes: Iterable[NodeRecord], only: str | Collection[str] | None
) -> tuple[str, ...] | None:
    """Return which alive nodes to set up; None: all, in one run."""
    up = [node for node in nodes if node.state in UP]
    fresh = [node for node in up if node.state is NodeState.ALIVE]
    if only is None:
        return None
    if only == "new":
        return tuple(n.name for n in fresh if not n.fault.startswith(SETUP_FAULT))
    if only == "failed":
        return tuple(n.name for n in fresh if n.fault.startswith(SETUP_FAULT))
    if isinstance(only, str):
        raise ConfigurationError(
            "only", only, "not a choice", "Say 'failed', 'new', or give nodes"
        )
    known = {node.name for node in up}
    for name in only:
        if name not in known:
            raise ConfigurationError(
                "only",
                name,
                "no alive node of this name",
                f"Alive are: {', '.join(sorted(known)) or 'none'}",
            )
    return tuple(only)


def touched(node: NodeRecord) -> bool:
    """Tell whether set-up has done something to a node, if not all that it should."""
    return node.state in UP and (
        node.state is NodeState.READY or node.fault.startswith(SETUP_FAULT)
    )


def view(op: Operation, secrets: Secrets) -> SetupCluster:
    """Return the cluster as set-up sees it: all nodes that answer."""
    head = op.journal.head
    return SetupCluster(
        id=head.id,
        name=head.name,
        hosts=tuple(_host(node) for node in op.journal.in_state(*UP)),
        private_key_path=secrets.private_key_path,
        passphrase=secrets.passphrase,
        proxy=head.ssh_proxy,
        capabilities=op.provider.capabilities,
        listen=op.journal.listen,
        host_ca=head.host_ca,
    )


def _host(node: NodeRecord) -> SetupHost:
    return SetupHost(
        name=node.name,
        kind=node.kind,
        address=node.addresses[0],
        port=node.ssh_port,
        login=node.spec.image_user,
        host_keys=node.host_keys,
    )


async def configure(
    op: Operation,
    setup: AbstractSetupProvider,
    secrets: Secrets,
    *,
    only: tuple[str, ...] | None,
    extra_args: Sequence[str],
) -> SetupReport:
    """Run set-up and record which nodes are ready; a failed host stays alive."""
    report = await setup.setup(view(op, secrets), only, extra_args)
    for name, host in report.hosts.items():
        if op.journal.nodes[name].state not in UP:
            continue
        if host.succeeded and not report.message:
            op.journal.move(name, NodeState.READY, fault="")
        else:
            fault = host.message or report.message
            op.journal.move(name, NodeState.ALIVE, fault=SETUP_FAULT + fault)
    return report
