"""What the test server's instances go through, and what goes with them."""

from __future__ import annotations

import time

import pytest

from tests.clouds.endpoint import eventually
from tests.clouds.gce.client import Api, RefusedError, metadata


def test_an_instance_provisions_is_staged_and_runs(api: Api) -> None:
    api.endpoint.behave(boot_seconds=0.8)
    api.order("a")
    seen: list[str] = []

    def running() -> bool:
        status = api.get("a")["status"]
        if status not in seen:
            seen.append(status)
        return bool(status == "RUNNING")

    eventually(running)
    assert seen == ["PROVISIONING", "STAGING", "RUNNING"]
    assert "lastStartTimestamp" in api.get("a")


def test_an_instance_stops_and_starts_again(api: Api) -> None:
    api.endpoint.behave(boot_seconds=0.05, stop_seconds=0.05)
    api.launch("a")
    api.becomes("a", "RUNNING")
    address = api.get("a")["networkInterfaces"][0]
    assert address["accessConfigs"][0]["natIP"]
    api.done(api.act("a", "stop"))
    stopped = api.get("a")
    assert stopped["status"] == "TERMINATED"
    assert "natIP" not in stopped["networkInterfaces"][0]["accessConfigs"][0]
    api.done(api.act("a", "stop"))  # once more does no harm
    with pytest.raises(RefusedError, match="not ready"):
        api.act("a", "resume")
    api.done(api.act("a", "start"))
    api.becomes("a", "RUNNING")
    api.done(api.act("a", "start"))

    assert api.get("a")["networkInterfaces"][0] == address
    assert api.endpoint.instances()[0]["boots"] == 2


def test_an_instance_is_suspended_and_resumed(api: Api) -> None:
    api.endpoint.behave(boot_seconds=0.5, stop_seconds=0.05)
    api.order("a")
    with pytest.raises(RefusedError, match="not ready"):
        api.act("a", "suspend")
    api.becomes("a", "RUNNING")
    api.done(api.act("a", "suspend"))
    assert api.get("a")["status"] == "SUSPENDED"
    for verb in ("start", "stop", "suspend"):
        with pytest.raises(RefusedError, match="not ready"):
            api.act("a", verb)
    api.done(api.act("a", "resume"))
    api.becomes("a", "RUNNING")


def test_a_deleted_instance_vanishes_with_its_disk(api: Api) -> None:
    api.endpoint.behave(stop_seconds=0.6)
    kept = {"sourceImage": api.endpoint.image_id, "diskName": "kept"}
    api.insert("a")
    api.insert("b", disks=[{"boot": True, "initializeParams": kept}])
    assert api.endpoint.resources()[0]["disks"] == [
        "us-central1-a/a",
        "us-central1-a/kept",
    ]
    first = api.ask("DELETE", f"{api.zone}/instances/a")
    again = api.ask("DELETE", f"{api.zone}/instances/a")
    assert first["id"] != again["id"]
    assert api.get("a")["status"] == "STOPPING"
    with pytest.raises(RefusedError, match="already being used"):
        api.ask("DELETE", f"{api.zone}/disks/kept")
    api.done(first)
    api.done(again)
    with pytest.raises(RefusedError) as no:
        api.ask("DELETE", f"{api.zone}/instances/a")
    assert no.value.status == 404
    api.delete("b")
    assert api.names() == []
    assert api.endpoint.resources()[0]["disks"] == ["us-central1-a/kept"]
    with pytest.raises(RefusedError) as exists:  # what was left is in the way
        api.insert("c", disks=[{"boot": True, "initializeParams": kept}])
    assert exists.value.status == 409
    api.done(api.ask("DELETE", f"{api.zone}/disks/kept"))
    assert api.ask("GET", f"{api.zone}/disks").get("items") is None


def test_a_name_means_another_instance_later(api: Api) -> None:
    api.endpoint.behave(stop_seconds=0.05)
    api.launch("a")
    number = api.get("a")["id"]
    api.delete("a")
    api.launch("a")

    assert api.get("a")["id"] != number
    assert api.get(api.get("a")["id"])["name"] == "a"
    with pytest.raises(RefusedError, match="not found"):
        api.get(number)


def test_a_protected_instance_is_not_deleted(api: Api) -> None:
    api.insert("a", deletionProtection=True)
    with pytest.raises(RefusedError, match="protected"):
        api.delete("a")


def test_labels_and_metadata_are_replaced_if_nobody_else_has_done_so(api: Api) -> None:
    api.insert("a", labels={"a": "1"})
    found = api.get("a")
    fresh = {"labels": {"b": "2"}, "labelFingerprint": found["labelFingerprint"]}
    api.done(api.act("a", "setLabels", fresh))
    assert api.get("a")["labels"] == {"b": "2"}
    data = metadata(key="value") | {"fingerprint": found["metadata"]["fingerprint"]}
    api.done(api.act("a", "setMetadata", data))
    assert api.get("a")["metadata"]["items"] == [{"key": "key", "value": "value"}]
    for verb, body in (("setLabels", fresh), ("setMetadata", data)):
        with pytest.raises(RefusedError) as no:
            api.act("a", verb, body)
        assert (no.value.status, no.value.reason) == (412, "conditionNotMet")


# -- operations


def test_an_operation_goes_through_its_states(api: Api) -> None:
    api.endpoint.behave(operation_seconds=0.8)
    operation = api.order("a")
    path = f"{api.zone}/operations"
    seen = [operation["status"]]

    def done() -> bool:
        status = api.ask("GET", f"{path}/{operation['id']}")["status"]
        if status != seen[-1]:
            seen.append(status)
        return bool(status == "DONE")

    eventually(done)
    assert seen == ["PENDING", "RUNNING", "DONE"]
    assert operation["id"].isdecimal()
    api.ask("DELETE", f"{path}/{operation['name']}")
    with pytest.raises(RefusedError) as no:
        api.ask("GET", f"{path}/{operation['name']}")
    assert no.value.status == 404


def test_who_waits_is_answered_when_it_is_done_or_too_long(api: Api) -> None:
    api.endpoint.behave(operation_seconds=1.0, wait_seconds=0.0)
    operation = api.order("a")
    path = f"{api.zone}/operations/{operation['name']}"
    assert api.ask("POST", f"{path}/wait")["status"] != "DONE"
    api.endpoint.behave(wait_seconds=120.0)
    assert api.ask("POST", f"{path}/wait")["status"] == "DONE"
    begun = time.monotonic()
    assert api.ask("POST", f"{path}/wait")["progress"] == 100
    assert time.monotonic() - begun < 10
    with pytest.raises(RefusedError):
        api.ask("GET", f"regions/us-central1/operations/{operation['name']}")


# -- what an instance says of itself


def test_host_keys_are_in_the_guest_attributes(api: Api) -> None:
    api.endpoint.behave(boot_seconds=0.05, guest_seconds=3600.0)
    api.insert("a", metadata=metadata(enable_guest_attributes="TRUE"))
    api.insert("b")
    path = f"{api.zone}/instances/a/getGuestAttributes"
    api.becomes("a", "RUNNING")
    with pytest.raises(RefusedError) as no:
        api.ask("GET", path, queryPath="hostkeys/")
    assert no.value.status == 404
    with pytest.raises(RefusedError, match="disabled"):
        api.ask("GET", path.replace("/a/", "/b/"), queryPath="hostkeys/")
    api.endpoint.behave(guest_seconds=0.0)
    found = api.ask("GET", path, queryPath="hostkeys/")["queryValue"]["items"]
    (item,) = found
    assert (item["namespace"], item["key"]) == ("hostkeys", "ssh-ed25519")
    one = api.ask("GET", path, variableKey="hostkeys/ssh-ed25519")
    assert one["variableValue"] == item["value"]


def test_the_serial_port_shows_the_host_keys_of_cloud_init(api: Api) -> None:
    api.endpoint.behave(boot_seconds=0.05, console_seconds=0.0)
    debian = {"sourceImage": "projects/debian-cloud/global/images/family/debian-12"}
    api.insert("a")
    api.insert("b", disks=[{"boot": True, "initializeParams": debian}])
    for name in "ab":
        api.becomes(name, "RUNNING")
    path = f"{api.zone}/instances/a/serialPort"
    shown = api.ask("GET", path)
    assert "BEGIN SSH HOST KEY KEYS" in shown["contents"]
    assert api.ask("GET", path, start=int(shown["next"]))["contents"] == ""
    assert api.ask("GET", path, port=2)["contents"] == ""
    other = api.ask("GET", f"{api.zone}/instances/b/serialPort")["contents"]
    assert "HOST KEY" not in other != ""
