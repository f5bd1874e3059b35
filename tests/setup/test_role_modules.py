"""What the modules of several roles make of what their programs say."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from aioelasticluster.setup.environment import PLAYBOOKS


def module(role: str, name: str) -> ModuleType:
    path = PLAYBOOKS / "roles" / role / "library" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def run(role: str, name: str, *, umask: int = -1, **arguments: Any) -> dict[str, Any]:
    """Run a module as Ansible does; return what it says."""
    path = PLAYBOOKS / "roles" / role / "library" / f"{name}.py"
    given = json.dumps({"ANSIBLE_MODULE_ARGS": arguments})
    ran = subprocess.run(
        [sys.executable, str(path)],
        input=given,
        capture_output=True,
        text=True,
        umask=umask,
    )
    said: dict[str, Any] = json.loads(ran.stdout)
    return said


def test_files_are_written_in_one_step_and_only_once(tmp_path: Path) -> None:
    wanted = {str(tmp_path / "new" / "a"): "one\ntwo", str(tmp_path / "b"): ""}
    first = run("system", "aioec_files", files=wanted, mode="0600")
    assert (first["changed"], first["written"]) == (True, list(wanted))
    assert (tmp_path / "new" / "a").read_text() == "one\ntwo\n"
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600
    assert not run("system", "aioec_files", files=wanted, mode="0600")["changed"]


def test_a_strict_umask_closes_no_folder_to_those_who_read_what_is_in_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "new" / "deep" / "a"
    run("system", "aioec_files", files={str(path): "one"}, umask=0o077)
    for each, mode in ((path, 0o644), (path.parent, 0o755), (tmp_path / "new", 0o755)):
        assert each.stat().st_mode & 0o777 == mode


def test_workers_of_a_grid_engine_that_was_never_installed_may_leave() -> None:
    if shutil.which("qconf"):
        pytest.skip("this machine has Grid Engine")
    left = run("gridengine", "aioec_gridengine", retired=["compute001"], timeout=1)
    assert (left["changed"], left["done"]) == (False, [])


def test_a_file_that_was_changed_elsewhere_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("mine\n")
    assert run("system", "aioec_files", files={str(path): "ours"})["changed"]
    assert path.read_text() == "ours\n"
    assert [*tmp_path.iterdir()] == [path]


def test_a_part_of_a_file_is_ours_and_the_rest_is_not(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text("mine")
    files: dict[str, Any] = {"label": "hosts of a", "blocks": {str(path): "one\ntwo"}}
    assert run("system", "aioec_files", **files)["changed"]
    ours = "# BEGIN hosts of a\none\ntwo\n# END hosts of a\n"
    assert path.read_text() == f"mine\n{ours}"
    assert not run("system", "aioec_files", **files)["changed"]
    path.write_text(f"{path.read_text()}more\n")
    assert run("system", "aioec_files", **{**files, "blocks": {str(path): ""}})[
        "changed"
    ]
    assert path.read_text() == "mine\n# BEGIN hosts of a\n# END hosts of a\nmore\n"


def test_fstab_keeps_its_other_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = module("system", "aioec_mount")
    table = tmp_path / "fstab"
    monkeypatch.setattr(mount, "FSTAB", str(table))
    table.write_text("# a word\nUUID=1 / ext4 defaults 0 1\nold:/a /a nfs4 rw 0 0\n")
    line = "new:/a /a nfs4 rw,_netdev 0 0"
    assert mount.note(line, "/a")
    assert table.read_text() == f"# a word\nUUID=1 / ext4 defaults 0 1\n{line}\n"
    assert not mount.note(line, "/a")


@pytest.mark.parametrize(
    ("mounted", "wanted", "same"),
    [
        ("a:/home", "a:/home", True),
        ("a:volume", "a,b:/volume", True),  # Gluster names the one that answered
        ("c:volume", "a,b:volume", False),
        ("a:/home", "a:/srv", False),
    ],
)
def test_a_mount_is_the_wanted_one_whichever_server_answered(
    mounted: str, wanted: str, same: bool
) -> None:
    assert module("system", "aioec_mount").same(mounted, wanted) is same


def test_what_grid_engine_shows_is_read_over_broken_lines() -> None:
    shown = (
        "group_name @allhosts\nhostlist   compute001 compute002 \\\n    compute003\n"
    )
    assert module("gridengine", "aioec_gridengine").attributes_of(shown) == {
        "group_name": "@allhosts",
        "hostlist": "compute001 compute002 compute003",
    }


@pytest.mark.parametrize(
    ("volume", "servers", "problem"),
    [
        ({"replicas": 2}, 2, ""),
        ({"replicas": "2"}, 3, ""),  # the third waits for a fourth
        ({"redundancy": 1}, 3, ""),
        ({"replicas": 3}, 2, "3 replicas need as many servers"),
        ({"redundancy": 1}, 2, "redundancy 1 needs more than 2 servers"),
        ({"replicas": 2, "redundancy": 1}, 4, "not both"),
    ],
)
def test_a_gluster_volume_needs_servers_enough(
    volume: dict[str, Any], servers: int, problem: str
) -> None:
    gluster = module("glusterfs", "aioec_gluster")
    if not problem:
        gluster.check({"name": "v", **volume}, servers)
        return
    with pytest.raises(gluster.RefusedError, match=rf"volume v: .*{problem}"):
        gluster.check({"name": "v", **volume}, servers)


def test_nfs_outside_of_the_kernel_needs_file_handles_and_a_capability(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    support = module("nfs", "aioec_nfs_support")
    monkeypatch.setattr(support, "capable", lambda number: False)
    assert "DAC_READ_SEARCH" in support.without_handles([])
    monkeypatch.setattr(support, "capable", lambda number: True)
    # What the kernel makes up as it is read has no handles.
    assert "at /proc has no file handles" in support.without_handles(["/proc"])
    assert support.without_handles([]) == ""
