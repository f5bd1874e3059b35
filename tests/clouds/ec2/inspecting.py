"""What an instance shows beside its state: health, disks, console."""

from __future__ import annotations

import base64

from tests.clouds.ec2.actions import Call, Reply, action
from tests.clouds.ec2.catalogue import zone_id
from tests.clouds.ec2.host_keys import host_key, public_half
from tests.clouds.ec2.instances import Instance
from tests.clouds.ec2.life import chosen
from tests.clouds.ec2.refusals import not_found
from tests.clouds.ec2.rendering import state
from tests.clouds.ec2.selecting import Fact, ids_or_page, page, selected
from tests.clouds.ec2.tagging import of_reply


@action(
    "DescribeInstanceStatus",
    *("Filters", "IncludeAllInstances", "InstanceIds", "MaxResults", "NextToken"),
)
def describe_instance_status(call: Call) -> Reply:
    """List the health of running instances, or of all."""
    found = [
        one
        for one in chosen(call)
        if call.get("IncludeAllInstances") or one.state(call.now) == "running"
    ]
    shown, following = page(call, found, lambda one: one.serial)
    return {
        "InstanceStatuses": [_status(call, one) for one in shown],
        "NextToken": following,
    }


def _status(call: Call, one: Instance) -> Reply:
    now = one.state(call.now)
    health = {"running": "ok", "pending": "initializing"}.get(now, "not-applicable")
    return {
        "AvailabilityZone": one.plan.subnet.zone,
        "AvailabilityZoneId": zone_id(one.plan.subnet.zone),
        "InstanceId": one.id,
        "InstanceState": state(now),
        "InstanceStatus": {"Status": health, "Details": []},
        "SystemStatus": {"Status": health, "Details": []},
    }


@action("DescribeVolumes", "Filters", "MaxResults", "NextToken", "VolumeIds")
def describe_volumes(call: Call) -> Reply:
    """List the disks of instances, and those that outlived theirs."""
    ids_or_page(call, "VolumeIds")
    volumes = {
        volume["VolumeId"]: volume
        for one in call.account.listed(call.behaviour)
        for volume in _volumes(call, one)
    }
    ids = call.get("VolumeIds", ())
    if missing := [given for given in ids if given not in volumes]:
        raise not_found("InvalidVolume.NotFound", "volume", missing)
    facts: dict[str, Fact[Reply]] = {
        "attachment.instance-id": lambda one: [
            attached["InstanceId"] for attached in one["Attachments"]
        ],
        "availability-zone": lambda one: one["AvailabilityZone"],
        "status": lambda one: one["State"],
        "volume-id": lambda one: one["VolumeId"],
    }
    named = [volumes[given] for given in ids or volumes]
    shown, following = page(call, selected(call, named, facts, of_reply))
    return {"Volumes": list(shown), "NextToken": following}


def _volumes(call: Call, one: Instance) -> list[Reply]:
    ended = one.state(call.now) == "terminated"
    return [
        {
            "Attachments": [] if ended else [_attached(one, device, volume, ends)],
            "AvailabilityZone": one.plan.subnet.zone,
            "CreateTime": one.launched_at,
            "Encrypted": False,
            "Size": size,
            "State": "available" if ended else "in-use",
            "Tags": call.account.tag_list(volume),
            "VolumeId": volume,
            "VolumeType": "gp3",
        }
        for (device, size, ends), volume in zip(
            one.plan.volumes, one.volumes, strict=True
        )
        if not (ended and ends)
    ]


def _attached(one: Instance, device: str, volume: str, ends: bool) -> Reply:
    return {
        "AttachTime": one.launched_at,
        "DeleteOnTermination": ends,
        "Device": device,
        "InstanceId": one.id,
        "State": "attached",
        "VolumeId": volume,
    }


@action("GetConsoleOutput", "InstanceId", "Latest")
def get_console_output(call: Call) -> Reply:
    """Return what an instance has printed; some time after it runs, its host key."""
    (one,) = call.account.named([call.get("InstanceId")], call.behaviour)
    text, at = _console(call, one)
    return {
        "InstanceId": one.id,
        "Output": base64.b64encode(text.encode()).decode(),
        "Timestamp": at,
    }


def _console(call: Call, one: Instance) -> tuple[str, float]:
    """Return the console's text, and when it was written."""
    up = next((phase.at for phase in one.phases if phase.state == "running"), None)
    written = None if up is None else up + call.behaviour.console_seconds
    if written is None or call.now < written:
        return "", call.now
    key = public_half(host_key(one))
    assert key is not None
    name = f"root@ip-{one.address.replace('.', '-')}"
    public = key.export_public_key("openssh").decode().split()
    rule = "ci-info: " + "#" * 60
    lines = (
        "[    0.000000] Linux version 6.1.0-cloud-amd64",
        "cloud-init running 'modules:final'",
        rule,
        "-----BEGIN SSH HOST KEY FINGERPRINTS-----",
        f"256 {key.get_fingerprint()} {name} (ED25519)",
        "-----END SSH HOST KEY FINGERPRINTS-----",
        rule,
        "-----BEGIN SSH HOST KEY KEYS-----",
        f"{public[0]} {public[1]} {name}",
        "-----END SSH HOST KEY KEYS-----",
        "cloud-init finished",
    )
    return "\r\n".join(lines) + "\r\n", written
