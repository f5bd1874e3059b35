"""Which playbooks run on which hosts, when some hosts are new and others are not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from aioelasticluster.model.reports import HostReport, SetupReport
from aioelasticluster.setup import catalogue
from aioelasticluster.setup.arguments import PACKAGED
from aioelasticluster.setup.environment import PLAYBOOKS

MAIN = str(PLAYBOOKS / "main.yml")
NEIGHBOURS = str(PLAYBOOKS / "neighbours.yml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One run: a playbook on these hosts; the `fresh` ones tell their facts anew.

    One playbook only, since Ansible plays no second one for anybody once a host has
    failed in the first.
    """

    playbook: str
    targets: tuple[str, ...]
    fresh: tuple[str, ...] = ()


def stages(
    playbooks: Sequence[str],
    members: Mapping[str, Collection[str]],
    hosts: Sequence[str],
    targets: Collection[str],
    *,
    names: bool,
) -> list[Stage]:
    """Return the runs that set the targets up, and tell the others what they must know.

    The packaged playbook runs on the targets and on those that must hear of them (a
    controller of its new workers), a playbook of the user's on the targets only. The
    rest of the hosts learn the new `names`, if hosts know names at all.
    """
    packaged = PACKAGED in playbooks
    hearers = catalogue.hearing(members, targets) if packaged else set[str]()
    wider = _in_order(hosts, {*targets, *hearers})
    rest = _in_order(hosts, {*hosts} - {*wider})

    def where(playbook: str) -> tuple[str, ...]:
        return wider if playbook == PACKAGED else _in_order(hosts, targets)

    found: list[Stage] = []
    known: set[str] = set()
    for playbook in playbooks:
        chosen = where(playbook)
        fresh = tuple(name for name in chosen if name not in known)
        found.append(Stage(playbook=_path(playbook), targets=chosen, fresh=fresh))
        known.update(chosen)
    if packaged and names and rest:
        found.append(Stage(playbook=NEIGHBOURS, targets=rest))
    return found


def without(stage: Stage, failed: Collection[str]) -> Stage:
    """Return the stage for the hosts on which nothing has failed yet."""
    left = tuple(name for name in stage.targets if name not in failed)
    return replace(stage, targets=left)


def combined(
    reports: Sequence[SetupReport], expected: Collection[str] = ()
) -> SetupReport:
    """Return one report of runs that followed one another.

    An expected host that none of them reached was not set up.
    """
    reached: dict[str, HostReport] = {}
    for report in reports:
        for name, host in report.hosts.items():
            reached[name] = _sum(reached[name], host) if name in reached else host
    hosts = {name: _absent(name) for name in expected} | reached
    return SetupReport(
        hosts=hosts,
        message=next((report.message for report in reports if report.message), ""),
        output="\n".join(report.output for report in reports),
        seconds=sum(report.seconds for report in reports),
    )


def _absent(name: str) -> HostReport:
    return HostReport(
        host=name,
        failed_task="playbook",
        message="no play of the playbook ran on this host",
    )


def _sum(first: HostReport, then: HostReport) -> HostReport:
    return replace(
        then,
        ok=first.ok + then.ok,
        changed=first.changed + then.changed,
        skipped=first.skipped + then.skipped,
        notes=first.notes + then.notes,
    )


def _path(playbook: str) -> str:
    return MAIN if playbook == PACKAGED else playbook


def _in_order(hosts: Iterable[str], chosen: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in hosts if name in chosen)
