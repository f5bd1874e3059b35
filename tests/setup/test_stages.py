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
    assert planned(["packaged"], HOSTS) == [
        Stage(playbook=MAIN, targets=tuple(HOSTS), fresh=tuple(HOSTS))
    ]


def test_each_playbook_has_a_run_of_its_own_and_facts_are_told_anew_once() -> None:
    assert planned(["packaged", "/own.yml"], HOSTS) == [
        Stage(playbook=MAIN, targets=tuple(HOSTS), fresh=tuple(HOSTS)),
        Stage(playbook="/own.yml", targets=tuple(HOSTS)),
    ]


def test_a_new_worker_is_heard_of_by_its_master_and_named_to_all() -> None:
    wider = ("frontend001", "compute003")
    assert planned(["packaged"], ["compute003"]) == [
        Stage(playbook=MAIN, targets=wider, fresh=wider),
        Stage(playbook=NEIGHBOURS, targets=("login001", "compute001", "compute002")),
    ]


def test_on_hosts_without_root_no_names_are_written() -> None:
    wider = ("frontend001", "compute003")
    assert planned(["packaged"], ["compute003"], names=False) == [
        Stage(playbook=MAIN, targets=wider, fresh=wider)
    ]


def test_own_playbooks_run_on_the_new_hosts_only() -> None:
    new = ("compute003",)
    first, *rest = planned(["/before.yml", "packaged", "/own.yml"], ["compute003"])
    assert first == Stage(playbook="/before.yml", targets=new, fresh=new)
    assert rest[0] == Stage(
        playbook=MAIN, targets=("frontend001", "compute003"), fresh=("frontend001",)
    )
    assert rest[1] == Stage(playbook="/own.yml", targets=new)
    assert [stage.playbook for stage in rest[2:]] == [NEIGHBOURS]
    assert planned(["/own.yml"], ["compute003"]) == [
        Stage(playbook="/own.yml", targets=new, fresh=new)
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


def test_a_host_that_no_run_reached_was_not_set_up() -> None:
    first = SetupReport(hosts={"b": HostReport(host="b", ok=3)})
    then = SetupReport(hosts={"c": HostReport(host="c", ok=1)})
    both = combined([first, then], ["a", "b", "c"])
    assert list(both.hosts) == ["a", "b", "c"]
    assert both.failed == ("a",)
    assert "no play" in both.hosts["a"].message
