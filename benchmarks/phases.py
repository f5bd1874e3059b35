"""What a phase on a test cloud costs: its client, the cloud, and in requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from measuring import Meter, Row

if TYPE_CHECKING:
    from tests.clouds.endpoint import Endpoint


class Phase:
    """What one phase costs from now on: the client, the cloud, and in requests."""

    def __init__(self, cloud: Endpoint) -> None:
        self._cloud = cloud
        self._cloud.forget_requests()
        self._before = cloud_cpu(self._cloud)
        self._meter = Meter()

    def row(self, prefix: str) -> Row:
        """Return the figures, each name after the phase's."""
        figures: Row = {"s": self._meter.wall, "cpu_s": self._meter.cpu}
        for name, seconds in cloud_cpu(self._cloud).items():
            figures[f"{name}_cpu_s"] = seconds - self._before[name]
        actions = Counter(request["action"] for request in self._cloud.requests())
        figures |= {"requests": actions.total(), "actions": dict(actions)}
        return {f"{prefix}_{name}": value for name, value in figures.items()}


def cloud_cpu(cloud: Endpoint) -> Mapping[str, float]:
    """Return the CPU seconds of the server, and of all hosts with their commands."""
    seconds = cloud.cpu()
    hosts = sum(sum(process.values()) for process in seconds["hosts"])
    return {"server": seconds["server"], "hosts": hosts}
