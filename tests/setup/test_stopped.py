"""Who has failed when another host's failure stops a play, a playbook or neither."""

from __future__ import annotations

import socket

import pytest

from aioelasticluster.errors import SetupError
from tests.setup.conftest import Rig

pytestmark = [pytest.mark.ansible, pytest.mark.usefixtures("unblocked")]

FAILING = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Look
      ansible.builtin.command: {argv: ["false"]}
      when: inventory_hostname == "compute001"
"""
THEN = """
- hosts: all
  gather_facts: false
  tasks: [{name: Then, ansible.builtin.command: {argv: [touch, then]}}]
"""


async def test_a_failed_hosts_neighbours_still_get_the_next_playbook(rig: Rig) -> None:
    then = rig.playbook(THEN, "then.yml")
    provider = rig.provider(playbook=[rig.playbook(FAILING), then])
    report = await provider.setup(rig.cluster)
    assert report.failed == ("compute001",)
    assert report.hosts["compute001"].failed_task == "Look"
    assert sorted(rig.told("changed")) == [
        ("compute002", "Then"),
        ("frontend001", "Then"),
    ]


async def test_playbooks_may_be_for_different_hosts(rig: Rig) -> None:
    one, other = (
        rig.playbook(THEN.replace("all", hosts), f"{hosts}.yml")
        for hosts in ("frontend001", "compute002")
    )
    report = await rig.provider(playbook=[one, other]).setup(rig.cluster)
    assert report.failed == ("compute001",)
    assert "no play" in report.hosts["compute001"].message


async def test_a_failed_task_that_runs_once_fails_every_host_of_its_play(
    rig: Rig,
) -> None:
    playbook = rig.playbook("""
- hosts: "compute*"
  gather_facts: false
  tasks:
    - name: Ask once
      ansible.builtin.command: {argv: [sh, -c, "echo nobody >&2; exit 3"]}
      run_once: true
    - {name: Go on, ansible.builtin.command: {argv: [touch, went_on]}}
- hosts: all
  gather_facts: false
  tasks: [{name: Then, ansible.builtin.command: {argv: [touch, then]}}]
""")
    report = await rig.provider(playbook=playbook).setup(rig.cluster)
    assert report.failed == ("frontend001", "compute001", "compute002")
    assert report.hosts["compute001"].message == "non-zero return code: nobody"
    stopped = report.hosts["compute002"]
    assert stopped.failed_task == "Ask once"
    assert stopped.message.startswith("stopped, since it failed on compute001: non-")
    # Ansible ends a playbook once a play has failed on all its hosts.
    unplayed = report.hosts["frontend001"]
    assert "stopped before play 'all': task 'Ask once' failed" in unplayed.message


@pytest.mark.parametrize("ignored", ["false", "true"])
async def test_a_host_that_cannot_be_asked_stops_those_for_whom_it_was(
    rig: Rig, ignored: str
) -> None:
    playbook = rig.playbook(f"""
- hosts: "compute*"
  gather_facts: false
  tasks:
    - name: Ask the frontend
      ansible.builtin.ping:
      delegate_to: frontend001
      run_once: true
      ignore_unreachable: {ignored} # which Ansible reads as: unless it runs once
""")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, but it never listens
        cluster = rig.changed("frontend001", port=nobody.getsockname()[1])
        provider = rig.provider(playbook=playbook)
        report = await provider.setup(cluster, only=["compute001", "compute002"])
    assert report.failed == ("compute001", "compute002")
    assert report.hosts["compute002"].failed_task == "Ask the frontend"
    assert "Connection refused" in report.hosts["compute002"].message


async def test_a_play_that_failed_everywhere_stops_the_hosts_of_later_plays(
    rig: Rig,
) -> None:
    playbook = rig.playbook("""
- {hosts: all, gather_facts: false, tasks: [ping: ]}
- hosts: frontend001
  gather_facts: false
  tasks:
    - {name: Serve, ansible.builtin.command: {argv: ["false"]}}
- name: Queue
  hosts: compute001
  gather_facts: false
  tasks: [ping: ]
""")
    report = await rig.provider(playbook=playbook).setup(rig.cluster)
    assert report.failed == ("frontend001", "compute001")
    assert report.hosts["compute002"].succeeded
    assert "play 'Queue': task 'Serve' failed on frontend001" in (
        report.hosts["compute001"].message
    )


@pytest.mark.parametrize("ended", [False, True])
async def test_batches_that_were_not_played_are_stopped_unless_the_play_ended(
    rig: Rig, ended: bool
) -> None:
    last = "ansible.builtin.meta: end_play" if ended else "ansible.builtin.fail:"
    playbook = rig.playbook(f"""
- {{hosts: all, gather_facts: false, tasks: [ping: ]}}
- name: By one
  hosts: "compute*"
  serial: 1
  gather_facts: false
  tasks:
    - ping:
    - name: Last
      {last}
""")
    report = await rig.provider(playbook=playbook).setup(rig.cluster)
    assert rig.told("ok").count(("compute002", "ping")) == 1
    assert report.failed == (() if ended else ("compute001", "compute002"))
    if not ended:
        assert "before play 'By one'" in report.hosts["compute002"].message


async def test_a_failure_that_is_mended_on_every_host_stops_nobody(rig: Rig) -> None:
    playbook = rig.playbook("""
- hosts: all
  gather_facts: false
  tasks:
    - block:
        - name: Look
          ansible.builtin.fail:
          when: inventory_hostname == "compute001"
      rescue:
        - {name: Mend, ping: }
""")
    provider = rig.provider(playbook=playbook, any_errors_fatal=True)
    report = await provider.setup(rig.cluster)
    assert report.ok, report
    assert len(rig.told("ok")) == 3


async def test_nobody_else_is_drained_once_a_removal_is_refused(rig: Rig) -> None:
    refusing = FAILING.replace("Look", "Refuse")
    (rig.folder / "playbooks" / "other").mkdir(parents=True)
    rig.playbook(refusing, "before_removal.yml")
    rig.playbook(THEN, "other/before_removal.yml")
    mine = [rig.playbook(THEN), rig.playbook(THEN, "other/mine.yml")]
    provider = rig.provider(playbook=mine)
    with pytest.raises(SetupError, match="Refuse"):
        await provider.before_removal(rig.cluster, ["compute001"])
    assert rig.told("changed") == []

    rig.playbook(THEN, "before_removal.yml")
    await provider.before_removal(rig.cluster, ["compute001"])
    assert len(rig.told("changed")) == 6
    assert await rig.left_behind() == []
