"""A driver of cinder whose volumes hold nothing."""

from __future__ import annotations

from typing import Any

from cinder.volume import driver  # type: ignore[import-not-found]


class Driver(driver.VolumeDriver):  # type: ignore[misc]
    """A storage that has every volume that was asked for, and never any data."""

    VERSION = "1"

    def check_for_setup_error(self) -> None:
        """Find nothing amiss."""

    def _update_volume_stats(self) -> None:
        self._stats = {
            "volume_backend_name": self.configuration.volume_backend_name,
            "vendor_name": "aioelasticluster",
            "driver_version": self.VERSION,
            "storage_protocol": "none",
            "total_capacity_gb": "infinite",
            "free_capacity_gb": "infinite",
        }

    def create_volume(self, volume: Any) -> None:
        """Make an empty volume."""

    def clone_image(self, *rest: Any, **named: Any) -> tuple[dict[str, Any], bool]:
        """Make a volume of an image, at once."""
        return {}, True

    def delete_volume(self, volume: Any) -> None:
        """Forget a volume."""

    def create_export(self, context: Any, volume: Any, connector: Any) -> None:
        """Show a volume to a host."""

    def ensure_export(self, context: Any, volume: Any) -> None:
        """Show a volume to its host again."""

    def remove_export(self, context: Any, volume: Any) -> None:
        """Show a volume to nobody."""

    def initialize_connection(self, volume: Any, connector: Any) -> dict[str, Any]:
        """Tell a host how to reach a volume."""
        return {"driver_volume_type": "fake", "data": {"volume_id": volume.id}}

    def terminate_connection(self, volume: Any, connector: Any, **more: Any) -> None:
        """Keep a host from a volume."""
