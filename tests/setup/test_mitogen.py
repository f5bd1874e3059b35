"""Mitogen: where it is used, and that it tells the same as Ansible alone."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from importlib import metadata
from typing import Any

import anyio
import asyncssh
import pytest

from aioelasticluster.errors import ConfigurationError
from aioelasticluster.model.capabilities import Capabilities
from aioelasticluster.model.reports import HostReport
from aioelasticluster.setup import mitogen
from aioelasticluster.setup.base import SetupCluster
from tests.setup.conftest import Rig, on_task
from tests.setup.test_ansible import FAILING, SLEEPING

TALKATIVE = """
- hosts: all
  tasks:
    - {name: Keep, ansible.builtin.copy: {dest: "~/kept", content: x, mode: "0600"}}
    - {name: Say, ansible.builtin.command: {argv: [sh, -c, "cat ~/kept"]}}
    - {name: Skip, ansible.builtin.ping: , when: false}
    - name: Fail
      ansible.builtin.command: {argv: [sh, -c, "echo it broke >&2; exit 3"]}
      ignore_errors: true
"""


@pytest.fixture
def cluster() -> SetupCluster:
    return SetupCluster(
        id="0" * 32,
        name="demo",
        hosts=(),
        private_key_path="/key",
        passphrase="",
        proxy="",
        capabilities=Capabilities(),
        listen=lambda event: None,
    )


@pytest.fixture
def without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


@pytest.fixture
def with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """See it as installed, also where it is."""
    versions = {"mitogen": "0.3.99", "ansible-core": "2.19.1"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(metadata, "version", versions.__getitem__)


@pytest.mark.usefixtures("without_it")
def test_without_it_ansible_runs_alone_unless_it_was_insisted_on(
    cluster: SetupCluster,
) -> None:
    assert mitogen.wanted(None, cluster) == (False, "it is not installed")
    with pytest.raises(ConfigurationError, match=r"pip install.*\[mitogen\]"):
        mitogen.check_installed()


@pytest.mark.usefixtures("with_it")
def test_it_is_used_where_it_is_installed_and_not_switched_off(
    cluster: SetupCluster,
) -> None:
    mitogen.check_installed()
    assert mitogen.wanted(None, cluster) == (True, "")
    assert mitogen.wanted(True, cluster) == (True, "")
    assert mitogen.wanted(False, cluster) == (False, "it is switched off")


@pytest.mark.usefixtures("with_it")
@pytest.mark.parametrize(
    ("facts", "variable", "reason"),
    [
        ({"passphrase": "sesame"}, "", "passphrase"),
        ({"capabilities": Capabilities(root=False)}, "", "without root"),
        ({}, "free", "ANSIBLE_STRATEGY asks for free"),
    ],
)
def test_what_speaks_against_it_is_named(
    cluster: SetupCluster,
    monkeypatch: pytest.MonkeyPatch,
    facts: dict[str, Any],
    variable: str,
    reason: str,
) -> None:
    monkeypatch.setenv("ANSIBLE_STRATEGY", variable)
    used, said = mitogen.wanted(None, replace(cluster, **facts))
    assert not used
    assert reason in said


@pytest.mark.parametrize(
    ("versions", "reason"),
    [
        ({"mitogen": "0.3.7", "ansible-core": "2.19.1"}, "0.3.7 is too old"),
        ({"mitogen": "0.3.99", "ansible-core": "2.99.0"}, "ansible-core 2.99.0"),
    ],
)
def test_versions_that_were_not_proven_together_are_not_used(
    cluster: SetupCluster,
    monkeypatch: pytest.MonkeyPatch,
    versions: dict[str, str],
    reason: str,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(metadata, "version", versions.__getitem__)
    used, said = mitogen.wanted(None, cluster)
    assert not used
    assert reason in said


@pytest.mark.usefixtures("with_it")
def test_it_cannot_be_insisted_on_with_a_passphrase(cluster: SetupCluster) -> None:
    with pytest.raises(ConfigurationError, match="passphrase"):
        mitogen.wanted(True, replace(cluster, passphrase="sesame"))


def counts(hosts: Any) -> dict[str, HostReport]:
    return dict(sorted(hosts.items()))


@pytest.mark.ansible
@pytest.mark.usefixtures("unblocked")
@pytest.mark.parametrize("playbook", [TALKATIVE, FAILING])
async def test_it_reports_what_ansible_alone_reports(rig: Rig, playbook: str) -> None:
    pytest.importorskip("ansible_mitogen")
    path = rig.playbook(playbook)
    first = await rig.provider(playbook=path, mitogen=False).setup(rig.cluster)
    told, rig.events[:] = sorted(rig.told("failed")), []
    for name in ("kept", "went_on"):
        for host in rig.cluster.hosts:
            (rig.home(host.name) / name).unlink(missing_ok=True)
    second = await rig.provider(playbook=path, mitogen=True).setup(rig.cluster)
    assert counts(second.hosts) == counts(first.hosts)
    assert (second.ok, second.message) == (first.ok, first.message)
    assert sorted(rig.told("failed")) == told
    assert await rig.left_behind() == []


@pytest.mark.ansible
@pytest.mark.usefixtures("unblocked")
async def test_with_it_a_host_with_another_host_key_is_refused(rig: Rig) -> None:
    pytest.importorskip("ansible_mitogen")
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    cluster = rig.changed("compute001", host_keys=(" ".join(other.split()[:2]),))
    provider = rig.provider(playbook=rig.playbook(TALKATIVE), mitogen=True)
    report = await provider.setup(cluster)
    assert report.failed == ("compute001",)
    assert report.hosts["compute001"].unreachable
    assert not (rig.home("compute001") / "kept").exists()


@pytest.mark.ansible
@pytest.mark.usefixtures("unblocked")
async def test_with_it_a_cancelled_run_leaves_nothing_either(rig: Rig) -> None:
    pytest.importorskip("ansible_mitogen")
    provider = rig.provider(playbook=rig.playbook(SLEEPING), mitogen=True)
    with anyio.fail_after(40):
        async with anyio.create_task_group() as group:
            stop = on_task("Sleep", group.cancel_scope.cancel)
            group.start_soon(provider.setup, rig.listening(stop))
    assert await rig.left_behind() == []
