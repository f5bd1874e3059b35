"""User-data that is meant for cloud-init, given to an instance of the local cloud."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import asyncssh

from aioelasticluster.model.user_data import merged
from aioelasticluster.providers.base import Instance
from aioelasticluster.providers.cloud_config import read_user_data
from tests.providers.local_cloud import LocalCloud, eventually


async def booted(cloud: LocalCloud, user_data: str) -> tuple[Instance, dict[str, Any]]:
    """Launch one instance; return it with the last log entry of each event."""
    [instance] = await cloud.launch("compute001", user_data=user_data)
    log = cloud.provider.log_of(instance.id)
    await eventually(lambda: "boot-finished" in log.read_text())
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    return instance, {entry["event"]: entry for entry in entries}


async def test_further_authorized_keys_are_let_in(cloud: LocalCloud) -> None:
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    public = other.export_public_key().decode()
    more = f"ssh_authorized_keys:\n  - {public}  - not a key\n"
    instance, events = await booted(cloud, cloud.user_data(more))
    cloud.key.write_bytes(other.export_private_key())
    assert await cloud.text(instance, "echo in") == "in"
    assert "not a key" in events["user-data"]["remark"]


async def test_files_are_written_inside_the_home_only(cloud: LocalCloud) -> None:
    outside = cloud.folder / "outside"
    zipped = base64.b64encode(gzip.compress(b"zipped\n")).decode()
    files = [
        {"path": "sub/plain.txt", "content": "plain\n", "permissions": "0640"},
        {"path": "sub/zipped.txt", "content": zipped, "encoding": "gz+b64"},
        {"path": "sub/plain.txt", "content": "more\n", "append": True},
        {"path": str(outside), "content": "no"},
        {"path": "../../../parent.json", "content": "no"},
    ]
    more = f"write_files: {json.dumps(files)}\n"
    instance, _ = await booted(cloud, cloud.user_data(more))
    assert await cloud.text(instance, "cat sub/plain.txt sub/zipped.txt") == (
        "plain\nmore\nzipped"
    )
    assert await cloud.text(instance, "stat -c %a sub/plain.txt") == "640"
    assert not outside.exists()
    log = cloud.provider.log_of(instance.id).read_text()
    assert log.count("skipped") == 2


async def test_boot_commands_come_before_ssh_and_run_commands_after(
    cloud: LocalCloud,
) -> None:
    more = (
        "bootcmd: ['echo boot >>order; test ! -e ../up && echo early >>order']\n"
        "runcmd:\n  - [sh, -c, 'echo run >>order']\n  - echo said; exit 4\n"
    )
    instance, events = await booted(cloud, cloud.user_data(more))
    said = await cloud.text(instance, "cat order")
    assert said.split() == ["boot", "early", "run"]
    assert (events["runcmd"]["status"], events["runcmd"]["output"]) == (4, "said\n")
    assert events["bootcmd"]["at"] < events["ssh-up"]["at"] < events["runcmd"]["at"]


async def test_run_commands_are_one_script_as_in_cloud_init(cloud: LocalCloud) -> None:
    more = "runcmd: [mkdir deep, cd deep, 'said=on', [sh, -c, pwd], 'echo $said']\n"
    _, events = await booted(cloud, cloud.user_data(more))
    first, last = events["runcmd"]["output"].splitlines()
    assert first.endswith("/home/deep")
    assert last == "on"


async def test_a_run_command_does_not_keep_ssh_waiting(cloud: LocalCloud) -> None:
    [instance] = await cloud.launch(
        "a1", user_data=cloud.user_data("runcmd: [sleep 1000]\n")
    )
    assert await cloud.text(instance, "echo in") == "in"


async def test_a_script_is_run_once_and_its_output_is_in_the_log(
    cloud: LocalCloud,
) -> None:
    script = "#!/bin/sh\necho $HOME; echo wrong >&2; exit 9\n"
    _, events = await booted(cloud, script)
    assert events["script"]["status"] == 9
    assert events["script"]["output"].endswith("/home\nwrong\n")


async def test_the_parts_of_a_message_are_applied_each(cloud: LocalCloud) -> None:
    text = merged(cloud.user_data(), "#!/bin/sh\necho from the script\n")
    instance, events = await booted(cloud, text)
    assert await cloud.text(instance, "echo in") == "in"  # the host key is checked
    assert events["script"]["output"] == "from the script\n"


async def test_a_program_that_does_not_exist_is_logged(cloud: LocalCloud) -> None:
    _, events = await booted(cloud, cloud.user_data("runcmd: [[/no/such, x]]\n"))
    assert "No such file" in events["runcmd"]["output"]
    assert events["runcmd"]["status"] == 127


async def test_a_host_certificate_is_shown_beside_the_key(cloud: LocalCloud) -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    certificate = authority.generate_host_certificate(
        cloud.host_key.convert_to_public(), "host", principals=["node"]
    )
    line = certificate.export_certificate().decode().strip()
    text = cloud.user_data().replace(
        "  ed25519_public", f"  ed25519_certificate: {line}\n  ed25519_public"
    )
    [instance] = await cloud.launch("a1", user_data=text)
    async with asyncssh.connect(
        instance.addresses[0],
        instance.ssh_port,
        username="x",
        client_keys=[str(cloud.key)],
        host_key_alias="node",
        known_hosts=([], [authority.convert_to_public()], []),
        config=None,
    ) as connection:
        assert (await connection.run("echo in")).stdout == "in\n"


def test_what_is_not_known_is_remarked_and_passed_over() -> None:
    plan = read_user_data(
        "#cloud-config\npackages: [x]\nruncmd: [a]\nbootcmd: {b: c}\n"
    )
    assert plan.run_commands == ("a",)
    assert [remark.split()[1] for remark in plan.remarks] == ["packages", "bootcmd"]


def test_permissions_are_octal_with_quotes_or_without() -> None:
    for text in ("0600", "'0600'", "'600'", "0o600"):
        plan = read_user_data(
            f"#cloud-config\nwrite_files: [{{path: /x, permissions: {text}}}]\n"
        )
        assert not plan.remarks
        assert plan.files[0].permissions == 0o600


def test_one_authorized_key_need_not_be_in_a_list() -> None:
    plan = read_user_data("#cloud-config\nssh_authorized_keys: ssh-rsa AAAA me\n")
    assert plan.authorized_keys == ("ssh-rsa AAAA me",)


def test_unreadable_cloud_config_does_not_stop_the_boot() -> None:
    for text in ("#cloud-config\n: [", "#cloud-config\n- a\n", "#include\nhttp://x\n"):
        plan = read_user_data(text)
        assert len(plan.remarks) == 1
        assert "ignored" in plan.remarks[0]


def test_no_user_data_at_all_asks_for_nothing() -> None:
    assert read_user_data("") == read_user_data("\n")
    assert not read_user_data("").remarks


def test_yaml_tags_run_no_code() -> None:
    plan = read_user_data("#cloud-config\nx: !!python/object/apply:os.system [ls]\n")
    assert "ignored" in plan.remarks[0]


def test_only_ed25519_host_keys_are_taken() -> None:
    plan = read_user_data(
        "#cloud-config\nssh_keys: {rsa_private: x, ecdsa_public: y}\n"
    )
    assert not plan.host_key
    assert len(plan.remarks) == 2
