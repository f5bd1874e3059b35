"""Who is set up, who hears of it, and who is left alone."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from aioelasticluster.model.reports import HostReport, SetupReport
from aioelasticluster.setup import catalogue
from aioelasticluster.setup.catalogue import Group
from aioelasticluster.setup.stages import (
    MAIN,
    NEIGHBOURS,
    Stage,
    combined,
    stages,
    without,
)

HOSTS = ["frontend001", "login001", "compute001", "compute002", "compute003"]
MEMBERS = {
    "queue_master": ["frontend001"],
    "queue_worker": ["compute001", "compute002", "compute003"],
    "web": ["login001"],
}


@pytest.fixture(autouse=True)
def known_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {
        "queue_master": Group(role="queue", hears=True),
        "queue_worker": Group(role="queue"),
        "web": Group(role="web", hears=True),
    }
    monkeypatch.setattr(catalogue, "GROUPS", groups)


def planned(
    playbooks: list[str], targets: Collection[str], *, names: bool = True
) -> list[Stage]:
    return stages(playbooks, MEMBERS, HOSTS, targets, names=names)


def test_all_hosts_are_set_up_in_one_run() -> None:
    assert planned(["packaged", "/own.yml"], HOSTS) == [
        Stage(playbooks=(MAIN, "/own.yml"), targets=tuple(HOSTS))
    ]


def test_a_new_worker_is_heard_of_by_its_master_and_named_to_all() -> None:
    assert planned(["packaged"], ["compute003"]) == [
        Stage(playbooks=(MAIN,), targets=("frontend001", "compute003")),
        Stage(
            playbooks=(NEIGHBOURS,),
            targets=("login001", "compute001", "compute002"),
            gathers=False,
        ),
    ]


def test_on_hosts_without_root_no_names_are_written() -> None:
    assert planned(["packaged"], ["compute003"], names=False) == [
        Stage(playbooks=(MAIN,), targets=("frontend001", "compute003"))
    ]


def test_own_playbooks_run_on_the_new_hosts_only() -> None:
    first, *rest = planned(["/before.yml", "packaged", "/own.yml"], ["compute003"])
    assert first == Stage(playbooks=("/before.yml",), targets=("compute003",))
    assert [stage.playbooks for stage in rest] == [
        (MAIN,),
        ("/own.yml",),
        (NEIGHBOURS,),
    ]
    assert rest[1].targets == ("compute003",)
    assert planned(["/own.yml"], ["compute003"]) == [
        Stage(playbooks=("/own.yml",), targets=("compute003",))
    ]


def test_what_failed_on_a_host_is_not_followed_by_more() -> None:
    (stage,) = planned(["packaged"], HOSTS)
    assert without(stage, {"compute001"}).targets == (
        "frontend001",
        "login001",
        "compute002",
        "compute003",
    )


def test_runs_that_follow_one_another_make_one_report() -> None:
    first = SetupReport(
        hosts={
            "a": HostReport(host="a", ok=3, changed=1),
            "b": HostReport(host="b", failed_task="Look", message="broke"),
        },
        output="one",
        seconds=1.0,
    )
    then = SetupReport(
        hosts={"a": HostReport(host="a", ok=2), "c": HostReport(host="c", ok=1)},
        output="two",
        seconds=2.0,
    )
    both = combined([first, then])
    assert both.hosts["a"] == HostReport(host="a", ok=5, changed=1)
    assert both.failed == ("b",)
    assert (both.output, both.seconds) == ("one\ntwo", 3.0)
    assert combined([]) == SetupReport()
