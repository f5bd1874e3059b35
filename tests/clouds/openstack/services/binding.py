"""A driver of neutron which finds every port on any host: there is nothing to plug."""

from __future__ import annotations

from typing import Any

# ruff: isort: off
from neutron_lib import constants  # type: ignore[import-not-found]
from neutron_lib.callbacks import events, registry, resources  # type: ignore[import-not-found]
from neutron_lib.plugins.ml2 import api  # type: ignore[import-not-found]
# ruff: isort: on

from tests.clouds.openstack.services.guests import tell


class AnyHost(api.MechanismDriver):  # type: ignore[misc]
    """Binds ports, and tells where floating addresses lead."""

    def initialize(self) -> None:
        """Begin to hear of floating addresses."""
        for event in (events.AFTER_CREATE, events.AFTER_UPDATE, events.AFTER_DELETE):
            registry.subscribe(_floating, resources.FLOATING_IP, event)

    def bind_port(self, context: Any) -> None:
        """Bind a port to the first segment that there is."""
        for segment in context.segments_to_bind[:1]:
            context.set_binding(
                segment[api.ID],
                "ovs",
                {"port_filter": True},
                status=constants.PORT_STATUS_ACTIVE,
            )


def _floating(resource: Any, event: str, trigger: Any, payload: Any) -> None:
    address = payload.latest_state
    gone = event == events.AFTER_DELETE
    tell(
        "floating",
        address=str(address["floating_ip_address"]),
        leads_to=None if gone else _text(address.get("fixed_ip_address")),
    )


def _text(address: Any) -> str | None:
    return None if address is None else str(address)
