"""The whole cloud: its projects, how it behaves, and its clock. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.clouds.ec2.addresses import AddressPlan
from tests.clouds.gce.behaviour import Behaviour, Fate
from tests.clouds.gce.instances import Instance
from tests.clouds.gce.projects import Project


class Cloud:
    """All that exists; `clock` says the time in seconds since the epoch.

    `changed` is called with an instance whenever other states lie ahead of it than
    before.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        plan: AddressPlan,
        projects: Mapping[str, str],
    ) -> None:
        self.clock = clock
        self.behaviour = Behaviour()
        self.fate = Fate(self.behaviour)
        self.changed: Callable[[Instance], None] = lambda instance: None
        plan.rewound()
        self._projects = {
            name: Project(name, number, clock, plan)
            for name, number in projects.items()
        }
        self._serial = 0

    def project(self, name: str) -> Project | None:
        """Return what a project has, None if there is no such project."""
        for project in self._projects.values():
            if name in (project.id, project.number):
                return project
        return None

    def projects(self) -> Iterator[Project]:
        """Yield all projects."""
        yield from self._projects.values()

    def instances(self) -> Iterator[Instance]:
        """Yield the instances of all projects, also what lists do not have yet."""
        for project in self._projects.values():
            yield from project.instances.values()

    def settle(self) -> None:
        """Forget all that is gone."""
        now = self.clock()
        for project in self._projects.values():
            project.settle(now)

    def next_serial(self) -> int:
        """Return a number greater than those before."""
        self._serial += 1
        return self._serial

    def behave(self, changes: Mapping[str, Any]) -> None:
        """Change how the cloud behaves from now on; raise `ValueError`."""
        before, self.behaviour = self.behaviour, self.behaviour.changed(changes)
        self.fate = Fate(self.behaviour)
        if self.behaviour.spot_loss != before.spot_loss:
            for instance in self.instances():
                instance.may_be_lost(self.clock(), self.behaviour)
                self.changed(instance)
