"""Who a process is, and whether it still lives: asked of real processes."""

from __future__ import annotations

import getpass
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from aioelasticluster import _process
from aioelasticluster._process import ProcessIdentity

TELL = """
import sys
from aioelasticluster._process import ProcessIdentity
print(ProcessIdentity.current().encoded(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", TELL],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.kill()


@pytest.fixture
def no_cache() -> Iterator[None]:
    _process._facts_of.cache_clear()
    yield
    _process._facts_of.cache_clear()


def identity_of(child: subprocess.Popen[str]) -> ProcessIdentity:
    assert child.stdout is not None
    identity = ProcessIdentity.decoded(child.stdout.readline().strip())
    assert identity is not None
    return identity


def alive(identity: ProcessIdentity) -> bool:
    return not identity.dead


def test_this_process_is_here_and_alive() -> None:
    us = ProcessIdentity.current()
    assert us.pid == os.getpid()
    assert us.here
    assert not us.dead
    assert us == ProcessIdentity.current()


def test_another_process_is_alive_until_it_has_ended(
    child: subprocess.Popen[str],
) -> None:
    identity = identity_of(child)
    assert identity.pid == child.pid
    assert identity.here
    assert alive(identity)
    assert identity != ProcessIdentity.current()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not alive(identity)  # although nobody has asked for its exit status yet
    child.wait()
    assert not alive(identity)


def test_a_pid_that_is_used_again_is_another_process() -> None:
    us = ProcessIdentity.current()
    assert replace(us, start="1").dead


def test_a_process_of_an_earlier_boot_is_dead() -> None:
    assert replace(ProcessIdentity.current(), boot="0123456789").dead


def test_nobody_knows_of_another_hosts_process() -> None:
    remote = replace(ProcessIdentity.current(), host="0123456789", pid=1, boot="x")
    assert not remote.here
    assert not remote.dead


def test_a_pid_that_cannot_be_is_dead() -> None:
    assert replace(ProcessIdentity.current(), pid=2**70).dead


def test_a_process_that_is_hidden_from_us_may_live(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbidden(pid: int, number: int) -> None:
        raise PermissionError(pid)

    hidden = replace(ProcessIdentity.current(), pid=2**21, start="1")
    monkeypatch.setattr(_process, "_start_of", lambda pid: None)
    monkeypatch.setattr(os, "kill", forbidden)  # as for another user, with hidepid=2
    assert not hidden.dead


def test_a_forked_child_has_an_identity_of_its_own() -> None:
    ours = ProcessIdentity.current()
    code = f"""if True:
        import os
        from aioelasticluster._process import ProcessIdentity

        ours = ProcessIdentity.current()
        if os.fork() == 0:
            theirs = ProcessIdentity.current()
            os._exit(theirs == ours or theirs.pid != os.getpid() or theirs.dead)
        status = os.waitstatus_to_exitcode(os.wait()[1])
        print(status, ours.host == {ours.host!r}, ours.boot == {ours.boot!r})
    """
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert told.stdout == "0 True True\n"


def test_it_reads_back_what_it_wrote() -> None:
    us = ProcessIdentity.current()
    assert ProcessIdentity.decoded(us.encoded()) == us


@pytest.mark.parametrize("text", ["", "a", "a-b-c-d-e", "root-h-b-1", "root-h-b-x-1"])
def test_something_else_is_nobody(text: str) -> None:
    assert ProcessIdentity.decoded(text) is None


@pytest.mark.parametrize(
    "user", ["root", "a-very-long-user-name", "DOMAIN\\user", "jürgen", "用户", "a b"]
)
def test_it_fits_into_a_tag(
    user: str, monkeypatch: pytest.MonkeyPatch, no_cache: None
) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: user)
    us = replace(ProcessIdentity.current(), pid=2**22, start="9" * 17)
    assert re.fullmatch(r"[a-z0-9_-]{1,60}", us.encoded())
    assert ProcessIdentity.decoded(us.encoded()) == us


@pytest.mark.parametrize("fault", [KeyError("uid"), OSError("no user")])
def test_a_user_without_a_name_has_a_number(
    fault: Exception, monkeypatch: pytest.MonkeyPatch, no_cache: None
) -> None:
    def nameless() -> str:
        raise fault

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert ProcessIdentity.current().user == f"uid{os.getuid()}"


def test_containers_that_share_a_hosts_name_are_different_hosts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    us = ProcessIdentity.current()
    monkeypatch.setattr(os, "readlink", lambda path: "pid:[4026999999]")
    assert not us.here
    assert not replace(us, start="1").dead


def test_a_host_that_changed_its_name_is_another_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    us = ProcessIdentity.current()
    monkeypatch.setattr(socket, "gethostname", lambda: "renamed")
    assert not us.here


def test_it_reads_well() -> None:
    us = replace(ProcessIdentity.current(), user="ada", pid=7, host="0123456789")
    assert str(us) == "process 7 of ada on host 0123456789"


def test_system_commands_speak_one_language_and_may_be_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    command = ("sh", "-c", "echo $TZ $LC_ALL")
    assert _process._asked(*command) == "UTC C"
    assert _process._asked("no-such-command-anywhere") == ""
