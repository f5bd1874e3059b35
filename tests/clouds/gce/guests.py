"""What a running instance says of itself: guest attributes and the serial port."""

from __future__ import annotations

from tests.clouds.gce.actions import Call, Reply, action
from tests.clouds.gce.host_keys import shown_key
from tests.clouds.gce.instances import Instance
from tests.clouds.gce.life import named
from tests.clouds.gce.refusals import RefusalError, invalid

_NAMESPACE = "hostkeys/"


@action("instances.getGuestAttributes")
def get_guest_attributes(call: Call) -> Reply:
    """Return what the guest has written, if it may and has come to it."""
    one = named(call)
    enabled = one.metadata.get("enable-guest-attributes", "").upper() == "TRUE"
    if not enabled:
        raise RefusalError(
            403, "forbidden", "Guest attributes endpoint access is disabled."
        )
    path = call.query.get("queryPath") or call.query.get("variableKey")
    kind, key = shown_key(one)
    known = {_NAMESPACE: _NAMESPACE, f"{_NAMESPACE}{kind}": kind}
    if path not in known or not _booted(call, one, call.behaviour.guest_seconds):
        raise RefusalError(
            404,
            "notFound",
            f"The resource '{path}' of type 'Guest Attribute' was not found.",
        )
    reply: Reply = {
        "kind": "compute#guestAttributes",
        "selfLink": f"{call.root}{one.path}/{path}",
    }
    if "queryPath" not in call.query:
        return reply | {"variableKey": path, "variableValue": key}
    entry = {"namespace": "hostkeys", "key": kind, "value": key}
    return reply | {"queryPath": path, "queryValue": {"items": [entry]}}


@action("instances.getSerialPortOutput")
def get_serial_port_output(call: Call) -> Reply:
    """Return what an instance has printed, from `start` on."""
    one = named(call)
    port, start = call.query.get("port", 1), call.query.get("start", 0)
    if not 1 <= port <= 4:
        raise invalid("port", port, "Must be within 1 and 4.")
    text = _printed(call, one) if port == 1 else ""
    if start < 0:
        start = max(0, len(text) + start)
    return {
        "kind": "compute#serialPortOutput",
        "selfLink": f"{call.root}{one.path}/serialPort",
        "contents": text[start:],
        "start": str(min(start, len(text))),
        "next": str(len(text)),
    }


def _printed(call: Call, one: Instance) -> str:
    if one.last(call.now, "STAGING", "RUNNING") is None:
        return ""
    lines = ["SeaBIOS (version 1.8.2-google)", "Booting from Hard Disk 0..."]
    if one.plan.image.cloud_init and _booted(call, one, call.behaviour.console_seconds):
        kind, key = shown_key(one)
        lines += [
            "-----BEGIN SSH HOST KEY KEYS-----",
            f"{kind} {key} root@{one.name}",
            "-----END SSH HOST KEY KEYS-----",
        ]
    return "".join(f"{line}\r\n" for line in lines)


def _booted(call: Call, one: Instance, after: float) -> bool:
    """Tell whether an instance has been running for some time."""
    up = one.last(call.now, "RUNNING")
    return up is not None and up + after <= call.now
