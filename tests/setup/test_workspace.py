from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aioelasticluster._process import ProcessIdentity
from aioelasticluster.model.capabilities import Capabilities
from aioelasticluster.setup.base import SetupCluster, SetupHost
from aioelasticluster.setup.workspace import (
    ClusterFolder,
    RunFolder,
    known_hosts,
    ssh_config,
    utf8_locale,
)


def cluster(proxy: str = "", key: str = "/keys/my key", ca: str = "") -> SetupCluster:
    host = SetupHost(
        name="compute001",
        kind="compute",
        address="10.0.0.7",
        port=2222,
        login="debian",
        host_keys=("ssh-ed25519 AAAA", "ssh-rsa BBBB"),
    )
    return SetupCluster(
        id="abc",
        name="demo",
        hosts=(host,),
        private_key_path=key,
        passphrase="",
        proxy=proxy,
        capabilities=Capabilities(),
        listen=lambda event: None,
        host_ca=ca,
    )


def understood(settings: str, folder: Path) -> dict[str, str]:
    """Return what OpenSSH makes of a configuration."""
    path = folder / "config"
    path.write_text(settings)
    command = ["ssh", "-G", "-F", str(path), "10.0.0.7"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(line.split(" ", 1) for line in shown.stdout.splitlines())


def test_host_keys_are_keyed_by_alias_and_never_by_address() -> None:
    assert known_hosts(cluster(ca="ssh-ed25519 CCCC")).splitlines() == [
        "compute001.abc ssh-ed25519 AAAA",
        "compute001.abc ssh-rsa BBBB",
        "@cert-authority compute001.abc ssh-ed25519 CCCC",
    ]


def test_openssh_checks_host_keys_and_offers_our_key_only(tmp_path: Path) -> None:
    settings = understood(ssh_config(cluster(), tmp_path / "a b%d"), tmp_path)
    assert settings["stricthostkeychecking"] == "true"
    assert settings["userknownhostsfile"] == f"{tmp_path}/a b%d"
    assert settings["identityfile"] == "/keys/my key"
    assert settings["identitiesonly"] == "yes"
    assert settings["passwordauthentication"] == "no"


def test_without_a_key_file_the_agents_keys_are_offered(tmp_path: Path) -> None:
    settings = understood(ssh_config(cluster(key=""), tmp_path / "known"), tmp_path)
    assert settings["identitiesonly"] == "no"


@pytest.mark.parametrize(
    ("proxy", "command"),
    [
        ("jump", "ssh -W [%h]:%p -i '/keys/my key' jump"),
        ("me@jump:222", "ssh -W [%h]:%p -i '/keys/my key' -p 222 -l me jump"),
        ("[fe80::1]:222", "ssh -W [%h]:%p -i '/keys/my key' -p 222 fe80::1"),
        ("fe80::1", "ssh -W [%h]:%p -i '/keys/my key' fe80::1"),
        ("nc -X 5 %h %p", "nc -X 5 %h %p"),
    ],
)
def test_a_jump_host_is_reached_with_the_users_own_configuration(
    tmp_path: Path, proxy: str, command: str
) -> None:
    settings = understood(ssh_config(cluster(proxy), tmp_path / "known"), tmp_path)
    assert settings["proxycommand"] == command


def test_nobody_else_can_look_into_a_runs_folder(tmp_path: Path) -> None:
    kept = ClusterFolder(tmp_path / "abc")
    run = RunFolder.named(kept, "token")
    run.make()
    try:
        run.write_plan({}, {"secret": 1}, ["compute001"])
        run.write_ssh(cluster())
        assert {path.stat().st_mode & 0o77 for path in run.path.rglob("*")} == {0}
        assert run.path.stat().st_mode & 0o77 == 0
        assert run.sockets.stat().st_mode & 0o77 == 0
        assert len(str(run.sockets)) < 60
    finally:
        run.remove()
    assert not run.path.exists()
    assert not run.sockets.exists()


def test_the_folders_of_killed_processes_are_removed_and_those_of_live_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = ClusterFolder(tmp_path / "abc")
    mine, killed = RunFolder.named(kept, "mine"), RunFolder.named(kept, "killed")
    mine.make()
    killed.make()
    owner = (killed.path / "owner").read_text()
    assert ProcessIdentity.current().encoded() in owner
    gone = owner.replace(f"-{os.getpid()}-", f"-{_ended()}-")
    (killed.path / "owner").write_text(gone)
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")  # another one than theirs
    kept.forget_dead_runs()
    assert mine.path.exists()
    assert not killed.path.exists()
    assert not killed.sockets.exists()
    mine.remove()


def _ended() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_facts_of_hosts_that_are_set_up_again_are_forgotten(tmp_path: Path) -> None:
    kept = ClusterFolder(tmp_path)
    kept.facts.mkdir()
    for name in ("compute001", "s1_compute002", "compute0010", "frontend001"):
        (kept.facts / name).touch()
    kept.forget_facts({"compute001", "compute002"})
    assert {path.name for path in kept.facts.iterdir()} == {
        "compute0010",
        "frontend001",
    }


def test_ansible_gets_the_utf8_that_it_insists_on() -> None:
    assert utf8_locale({"LC_ALL": "de_DE.utf8", "LANG": "C"}) == {}
    assert utf8_locale({"LANG": "en_US.UTF-8"}) == {}
    assert "UTF-8" in utf8_locale({"LC_ALL": "C", "LANG": "en_US.UTF-8"})["LC_ALL"]
    assert utf8_locale({}) != {}
