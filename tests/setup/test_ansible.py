"""Real ansible-playbook runs against real SSH servers on loopback."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import anyio
import asyncssh
import pytest

from aioelasticluster.errors import ConfigurationError, SetupError
from aioelasticluster.model.events import Event, SetupTaskDone
from tests.setup.conftest import CLUSTER_ID, Rig, on_task

pytestmark = [pytest.mark.ansible, pytest.mark.usefixtures("unblocked")]

#: Fails on one host, then goes on; `{waits}` may be another task before it.
FAILING = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Look
      ansible.builtin.command: {argv: [sh, -c, "echo it broke >&2; exit 3"]}
      when: inventory_hostname == "compute001"
    - name: Go on
      ansible.builtin.command: {argv: [touch, went_on], creates: went_on}
"""
SLEEPING = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Sleep
      ansible.builtin.command: {argv: [sleep, "50"]}
"""


async def test_the_packaged_playbook_reaches_every_host_and_leaves_nothing(
    rig: Rig,
) -> None:
    report = await rig.provider().setup(rig.cluster)
    assert report.ok
    assert sorted(report.hosts) == ["compute001", "compute002", "frontend001"]
    assert all(host.ok == 1 for host in report.hosts.values())
    assert "PLAY RECAP" in report.output
    assert sorted(rig.told("ok")) == [
        (name, "base : Reach the host") for name in sorted(report.hosts)
    ]
    assert await rig.left_behind() == []


async def test_one_hosts_failure_is_in_the_report_and_the_others_go_on(
    rig: Rig,
) -> None:
    provider = rig.provider(playbook=rig.playbook(FAILING))
    report = await provider.setup(rig.cluster)
    assert report.failed == ("compute001",)
    assert report.message == ""
    failed = report.hosts["compute001"]
    assert failed.failed_task == "Look"
    assert failed.message == "non-zero return code: it broke"
    assert report.hosts["compute002"].changed == 1
    assert (rig.home("frontend001") / "went_on").exists()
    assert rig.told("failed") == [("compute001", "Look")]

    again = await provider.setup(rig.cluster, only=["compute002", "frontend001"])
    assert again.ok
    assert again.changed == 0


async def test_any_errors_fatal_is_a_policy_of_the_users(rig: Rig) -> None:
    provider = rig.provider(playbook=rig.playbook(FAILING), any_errors_fatal=True)
    report = await provider.setup(rig.cluster)
    assert len(report.failed) == 3
    assert report.hosts["compute001"].message == "non-zero return code: it broke"
    for name in ("frontend001", "compute002"):
        assert report.hosts[name].failed_task == "Look"
        assert "compute001: non-zero return" in report.hosts[name].message
    assert not (rig.home("frontend001") / "went_on").exists()
    assert "retry" not in report.output
    assert await rig.left_behind() == []


async def test_events_arrive_while_ansible_still_runs(rig: Rig) -> None:
    playbook = rig.playbook("""
- hosts: compute001
  gather_facts: false
  tasks:
    - name: First
      ansible.builtin.command: {argv: ["true"]}
    - name: Wait for the listener
      ansible.builtin.wait_for: {path: "{{ ansible_env_home }}/heard", timeout: 20}
""")

    def listen(event: Event) -> None:
        if isinstance(event, SetupTaskDone) and event.task == "First":
            (rig.home("compute001") / "heard").touch()

    provider = rig.provider(
        playbook=playbook,
        variables={"ansible_env_home": str(rig.home("compute001"))},
    )
    report = await provider.setup(rig.listening(listen), only=["compute001"])
    assert report.ok


async def test_an_unreachable_host_does_not_hold_the_others_up(rig: Rig) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, but it never listens
        port = nobody.getsockname()[1]
        cluster = rig.changed("compute001", port=port)
        report = await rig.provider().setup(cluster)
    assert report.failed == ("compute001",)
    assert report.hosts["compute001"].unreachable
    assert "Connection refused" in report.hosts["compute001"].message
    assert report.hosts["compute002"].succeeded


@pytest.mark.parametrize(
    "argument", [[], ["--ssh-common-args=-oStrictHostKeyChecking=no"]]
)
async def test_a_host_with_another_host_key_is_refused(
    rig: Rig, argument: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSIBLE_HOST_KEY_CHECKING", "False")
    monkeypatch.setenv("ANSIBLE_SSH_ARGS", "-o StrictHostKeyChecking=no")
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    cluster = rig.changed("compute001", host_keys=(" ".join(other.split()[:2]),))
    report = await rig.provider().setup(cluster, extra_args=argument)
    assert report.failed == ("compute001",)
    assert report.hosts["compute001"].unreachable
    assert "Host key verification failed" in report.hosts["compute001"].message


async def test_a_playbook_that_cannot_be_read_is_the_reports_message(rig: Rig) -> None:
    provider = rig.provider(playbook=rig.playbook("- hosts: [all\n"))
    report = await provider.setup(rig.cluster)
    assert not report.ok
    assert "mine.yml" in report.message
    assert report.failed == ("frontend001", "compute001", "compute002")
    assert await rig.left_behind() == []


async def test_a_host_in_no_play_was_not_set_up(rig: Rig) -> None:
    playbook = rig.playbook(
        "- {hosts: compute001, gather_facts: false, tasks: [ping: ]}"
    )
    report = await rig.provider(playbook=playbook).setup(rig.cluster)
    assert report.failed == ("frontend001", "compute002")
    assert "no play" in report.hosts["compute002"].message


async def test_a_rescued_failure_is_no_failure(rig: Rig) -> None:
    playbook = rig.playbook("""
- hosts: all
  gather_facts: false
  tasks:
    - block:
        - {name: Try, ansible.builtin.command: {argv: ["false"]}}
      rescue:
        - {name: Mend, ansible.builtin.command: {argv: ["true"]}}
    - {name: Ignore, ansible.builtin.command: {argv: ["false"]}, ignore_errors: true}
""")
    report = await rig.provider(playbook=playbook).setup(rig.cluster)
    assert report.ok
    assert len(rig.told("failed")) == 3
    assert len(rig.told("ignored")) == 3


async def test_only_limits_the_run_but_the_facts_of_all_are_known(rig: Rig) -> None:
    playbook = rig.playbook("""
- hosts: all
  tasks:
    - name: Note the others
      ansible.builtin.copy:
        dest: "{{ ansible_env.HOME }}/noted"
        mode: "0600"
        content: "{{ hostvars.frontend001.ansible_env.HOME }}"
""")
    provider = rig.provider(playbook=playbook)
    assert (await provider.setup(rig.cluster)).ok
    (rig.home("compute001") / "noted").unlink()
    report = await provider.setup(rig.cluster, only=["compute001"])
    assert report.ok
    assert [*report.hosts] == ["compute001"]
    noted = (rig.home("compute001") / "noted").read_text()
    assert noted == str(rig.home("frontend001"))

    await provider.cleanup(CLUSTER_ID)
    assert not (rig.folder / "work" / CLUSTER_ID).exists()


async def test_nothing_to_do_runs_nothing(rig: Rig) -> None:
    report = await rig.provider().setup(rig.cluster, only=[])
    assert report.ok
    assert report.output == ""
    with pytest.raises(ConfigurationError, match="compute009"):
        await rig.provider().setup(rig.cluster, only=["compute009"])


async def test_a_folder_that_cannot_be_written_is_named(rig: Rig) -> None:
    (rig.folder / "work").touch()
    with pytest.raises(ConfigurationError, match="work_dir"):
        await rig.provider().setup(rig.cluster)


async def test_variables_are_for_all_or_for_a_kind(rig: Rig) -> None:
    playbook = rig.playbook("""
- hosts: all
  gather_facts: false
  tasks:
    - name: "{{ colour }} {{ size }} {{ group_names | join(',') }}"
      ansible.builtin.command: {argv: [echo, "{{ colour }}"]}
      failed_when: >-
        (inventory_hostname == "frontend001") != (colour == "red" and size == 1)
        or elasticluster.nodes[inventory_hostname].kind != aioec_kind
""")
    provider = rig.provider(
        groups={"frontend": ["our-masters"], "compute": "our_workers"},
        playbook=playbook,
        variables={"size": 1, "colour": "blue"},
        kind_variables={"frontend": {"colour": "red"}},
    )
    assert (await provider.setup(rig.cluster)).ok


async def test_own_playbooks_run_beside_the_packaged_one(rig: Rig) -> None:
    mine = rig.playbook("""
- hosts: all
  gather_facts: false
  tasks: [{name: Mine, ansible.builtin.command: {argv: [touch, mine]}}]
""")
    provider = rig.provider(playbook=["packaged", mine])
    assert (await provider.setup(rig.cluster)).ok
    tasks = [task for _, task in rig.told("ok") + rig.told("changed")]
    assert tasks == ["base : Reach the host"] * 3 + ["Mine"] * 3


async def test_secrets_reach_the_hosts_and_nothing_else(rig: Rig) -> None:
    playbook = rig.playbook("""
- hosts: all
  gather_facts: false
  tasks:
    - name: "Use {{ token }}"
      ansible.builtin.command:
        argv: [sh, -c, 'echo "$0" > got; exit 1', "{{ token }}"]
      ignore_errors: true
    - name: Hidden
      ansible.builtin.command: {argv: [sh, -c, "echo {{ token }} >&2; exit 1"]}
      no_log: true
""")
    provider = rig.provider(playbook=playbook, secrets={"token": "s3cret/value"})

    def variables_files() -> list[Path]:
        return list((rig.folder / "work").rglob("variables.json"))

    threads: list[Future[list[Path]]] = []
    executor = ThreadPoolExecutor(1)

    def listen(event: Event) -> None:
        rig.events.append(event)
        threads.append(executor.submit(variables_files))

    report = await provider.setup(rig.listening(listen))
    assert (rig.home("compute001") / "got").read_text() == "s3cret/value\n"
    assert report.hosts["compute001"].message == "the output is hidden (no_log)"
    shown = f"{report!r}{report}{rig.events!r}{provider.settings()!r}{provider!r}"
    assert "s3cret" not in shown
    assert "Use ********" in shown
    # Ansible had read them when the first task began.
    assert [thread.result() for thread in threads if thread.result()] == []
    executor.shutdown()
    assert await rig.left_behind() == []


async def test_a_key_with_a_passphrase_opens_every_way_to_the_hosts(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    rig = make_rig(["compute001", "compute002"], passphrase="open \"sesame\" 'ä'")
    playbook = rig.playbook("""
- hosts: all
  gather_facts: false
  tasks:
    - name: Copy first, so that sftp has to open a connection too
      ansible.builtin.copy: {content: x, dest: "~/copied", mode: "0600"}
- hosts: localhost
  tasks:
    - name: Look for it where a task could
      ansible.builtin.command: {argv: [env]}
      register: shown
      failed_when: "'sesame' in shown.stdout"
""")
    report = await rig.provider(playbook=playbook).setup(rig.cluster)
    assert report.ok, report
    # `~` is the session's home, whatever the login's name is on this machine.
    assert (rig.home("compute001") / "copied").read_text() == "x"

    wrong = replace(rig.cluster, passphrase="close sesame")
    report = await rig.provider(playbook=playbook).setup(wrong)
    assert set(report.failed) == {"compute001", "compute002"}
    assert await rig.left_behind() == []


async def test_a_key_of_the_users_agent_is_used_without_any_file(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await anyio.open_process(["ssh-agent", "-D", "-a", f"{tmp_path}/agent"])
    try:
        assert agent.stdout
        await agent.stdout.receive()  # it says where it is once it is there
        monkeypatch.setenv("SSH_AUTH_SOCK", f"{tmp_path}/agent")
        await anyio.run_process(["ssh-add", rig.cluster.private_key_path])
        cluster = replace(rig.cluster, private_key_path="")
        assert (await rig.provider().setup(cluster)).ok
    finally:
        agent.terminate()
        await agent.aclose()


async def test_a_proxy_command_leads_to_the_hosts(rig: Rig) -> None:
    log = rig.folder / "proxied"
    code = (
        "import socket,sys,threading,shutil; s=socket.create_connection(sys.argv[1:]); "
        "f=s.makefile('rwb',0); "
        "t=threading.Thread(target=shutil.copyfileobj,args=(f,sys.stdout.buffer,1)); "
        "t.daemon=True; t.start(); shutil.copyfileobj(sys.stdin.buffer.raw,f)"
    )
    script = rig.folder / "proxy.py"
    script.write_text(code)
    proxy = f"sh -c 'echo %h >> {log}; exec python3 -u {script} %h %p'"
    report = await rig.provider().setup(
        replace(rig.cluster, proxy=proxy), only=["compute001"]
    )
    assert report.ok, report
    assert log.read_text() == f"{rig.cluster.hosts[1].address}\n"


async def test_a_run_past_its_time_is_stopped_and_says_so(rig: Rig) -> None:
    provider = rig.provider(playbook=rig.playbook(SLEEPING), timeout=3)
    report = await provider.setup(rig.cluster)
    assert "stopped after 3 s" in report.message
    assert len(report.failed) == 3
    assert await rig.left_behind() == []


async def by_task(work: Callable[[], Any], begun: asyncio.Event) -> None:
    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_scope(work: Callable[[], Any], begun: asyncio.Event) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await begun.wait()
        group.cancel_scope.cancel()


async def by_timeout(work: Callable[[], Any], begun: asyncio.Event) -> None:
    async def when_begun() -> None:
        await begun.wait()
        deadline.reschedule(0)

    helper = asyncio.create_task(when_begun())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as deadline:
            await work()
    await helper


@pytest.mark.parametrize("cancelled", [by_task, by_scope, by_timeout])
async def test_a_cancelled_run_leaves_neither_process_nor_file(
    rig: Rig, cancelled: Callable[..., Any]
) -> None:
    begun = asyncio.Event()
    cluster = rig.listening(on_task("Sleep", begun.set))
    provider = rig.provider(playbook=rig.playbook(SLEEPING))
    with anyio.fail_after(30):
        await cancelled(lambda: provider.setup(cluster), begun)
    assert await rig.left_behind() == []


async def test_what_a_killed_process_left_is_ended_by_the_next_run(
    rig: Rig, tmp_path: Path
) -> None:
    hosts = [asdict(host) for host in rig.cluster.hosts]
    plan = {
        "id": CLUSTER_ID,
        "hosts": hosts,
        "key": rig.cluster.private_key_path,
        "python": rig.cluster.capabilities.python,
        "playbook": str(rig.playbook(SLEEPING)),
        "work": str(rig.folder / "work"),
    }
    program = str(Path(__file__).with_name("set_up.py"))
    killed = await anyio.open_process([sys.executable, program, json.dumps(plan)])
    assert killed.stdout
    assert await killed.stdout.receive() == b"Sleep\n"
    killed.kill()
    await killed.aclose()
    assert await rig.left_behind() != []

    assert (await rig.provider().setup(rig.cluster)).ok
    assert await rig.left_behind() == []


async def test_draining_runs_beside_the_users_own_playbook(rig: Rig) -> None:
    rig.playbook(
        """
- hosts: frontend001
  gather_facts: false
  tasks:
    - name: Drain
      ansible.builtin.copy:
        dest: "~/drained"
        content: "{{ aioec_leaving | to_json }}"
        mode: "0600"
      failed_when: "'compute001' in aioec_leaving"
""",
        name="before_removal.yml",
    )
    provider = rig.provider(playbook=rig.playbook(SLEEPING))
    await provider.before_removal(rig.cluster, ["compute002"])
    drained = (rig.home("frontend001") / "drained").read_text()
    assert json.loads(drained) == ["compute002"]
    with pytest.raises(SetupError, match="Drain"):
        await provider.before_removal(rig.cluster, ["compute001"])
    assert await rig.left_behind() == []


async def test_without_anything_to_drain_nothing_runs(rig: Rig) -> None:
    provider = rig.provider(playbook=rig.playbook(SLEEPING))
    await provider.before_removal(rig.cluster, ["compute002"])
    assert rig.events == []
