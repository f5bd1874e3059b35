"""Nova's own fake hypervisor, which moreover tells when guests are on and off."""

from __future__ import annotations

from typing import Any

from nova.virt import fake  # type: ignore[import-not-found]

from tests.clouds.openstack.services.guests import console, tell


class Driver(fake.FakeDriver):  # type: ignore[misc]
    """A hypervisor for servers that run elsewhere, or nowhere."""

    def spawn(self, context: Any, instance: Any, *rest: Any, **named: Any) -> None:
        """Start a new server."""
        super().spawn(context, instance, *rest, **named)
        tell(
            "spawned",
            id=instance.uuid,
            name=instance.hostname,
            addresses=_addresses(named.get("network_info")),
            user_data=instance.user_data,
            key=instance.key_data,
        )

    def destroy(self, context: Any, instance: Any, *rest: Any, **named: Any) -> None:
        """End a server for good."""
        tell("destroyed", id=instance.uuid)
        super().destroy(context, instance, *rest, **named)

    def reboot(self, context: Any, instance: Any, *rest: Any, **named: Any) -> None:
        """Switch a server off and on again."""
        tell("off", id=instance.uuid)
        super().reboot(context, instance, *rest, **named)

    def power_off(self, instance: Any, *rest: Any, **named: Any) -> None:
        """Switch a server off."""
        tell("off", id=instance.uuid)
        super().power_off(instance, *rest, **named)

    def power_on(self, context: Any, instance: Any, *rest: Any, **named: Any) -> None:
        """Switch a server on again."""
        super().power_on(context, instance, *rest, **named)
        tell("on", id=instance.uuid)

    def pause(self, instance: Any) -> None:
        """Stop a server's processors."""
        tell("off", id=instance.uuid)
        super().pause(instance)

    def unpause(self, instance: Any) -> None:
        """Let a server's processors go on."""
        super().unpause(instance)
        tell("on", id=instance.uuid)

    def suspend(self, context: Any, instance: Any) -> None:
        """Write a server's memory to its disk and switch it off."""
        tell("off", id=instance.uuid)
        super().suspend(context, instance)

    def resume(self, context: Any, instance: Any, *rest: Any, **named: Any) -> None:
        """Let a suspended server go on."""
        super().resume(context, instance, *rest, **named)
        tell("on", id=instance.uuid)

    def get_console_output(self, context: Any, instance: Any) -> str:
        """Return what a server has written on its console."""
        return console(instance.uuid)


def _addresses(network_info: Any) -> list[str]:
    return [ip["address"] for vif in network_info or () for ip in vif.fixed_ips()]
