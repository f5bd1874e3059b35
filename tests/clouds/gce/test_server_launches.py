"""How the test server makes instances: once, all or enough of them, where they fit."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.clouds.endpoint import eventually
from tests.clouds.gce.client import (
    Api,
    RefusedError,
    bulk,
    codes,
    properties,
)

ZONE = "us-central1-a"


def spread(api: Api, names: list[str], shape: str, **more: Any) -> Any:
    """Order instances in the region, and return the operation when it is done."""
    order = bulk(api.endpoint, names, **more.pop("properties", {})) | more
    if shape:
        order.setdefault("locationPolicy", {})["targetShape"] = shape
    path = f"regions/{api.endpoint.region}/instances/bulkInsert"
    return api.done(api.ask("POST", path, order))


def tallies(operation: Any) -> dict[str, dict[str, Any]]:
    found = operation["instancesBulkInsertOperationMetadata"]["perLocationStatus"]
    return {place.removeprefix("zones/"): tally for place, tally in found.items()}


def zones(api: Api) -> list[str]:
    return sorted(one["zone"][-1] for one in api.endpoint.instances())


# -- once for each request id


def test_a_request_id_stands_for_one_operation(api: Api) -> None:
    request = str(uuid.uuid4())
    first = api.order("a", "b", requestId=request)
    again = api.order("a", "b", requestId=request)
    assert first["clientOperationId"] == request
    assert again["id"] == first["id"]
    api.done(first)
    late = api.order("a", "b", requestId=request)

    assert (late["id"], late["status"]) == (first["id"], "DONE")
    assert api.names() == ["a", "b"]


def test_a_request_id_stands_for_a_failed_operation_too(api: Api) -> None:
    api.endpoint.behave(capacity={"": 0})
    request = str(uuid.uuid4())
    failed = api.launch("a", requestId=request)
    api.endpoint.behave(capacity={})

    assert codes(api.launch("a", requestId=request)) == codes(failed) != []
    assert api.names() == []


def test_what_was_refused_at_once_has_used_up_no_request_id(api: Api) -> None:
    request = str(uuid.uuid4())
    api.endpoint.behave(quota=0)
    with pytest.raises(RefusedError):
        api.insert("a", request=request)
    api.endpoint.behave(quota=1)

    assert codes(api.insert("a", request=request)) == []


def test_a_request_id_belongs_to_its_parameters(api: Api) -> None:
    request = str(uuid.uuid4())
    api.order("a", requestId=request)
    with pytest.raises(RefusedError, match="other parameters"):
        api.order("b", requestId=request)
    with pytest.raises(RefusedError, match="UUID"):
        api.order("c", requestId=str(uuid.UUID(int=0)))
    assert api.names() == ["a"]


# -- names


def test_a_name_in_use_is_refused_at_once_or_in_the_operation(api: Api) -> None:
    api.launch("a")
    with pytest.raises(RefusedError) as no:
        api.insert("a")
    assert (no.value.status, no.value.reason) == (409, "alreadyExists")
    done = api.launch("a", "b", count=1)
    assert codes(done) == []
    assert tallies(done)[ZONE]["failedToCreateVmCount"] == 1
    failed = api.launch("a", "c")

    assert codes(failed) == ["VM_MIN_COUNT_NOT_REACHED", "RESOURCE_ALREADY_EXISTS"]
    assert api.names() == ["a", "b"]


def test_a_pattern_goes_on_after_the_greatest_number(api: Api) -> None:
    order: dict[str, Any] = {
        "count": "2",
        "namePattern": "node-##",
        "instanceProperties": properties(api.endpoint),
    }
    path = f"{api.zone}/instances/bulkInsert"
    api.done(api.ask("POST", path, order))
    api.done(api.ask("POST", path, order))
    assert api.names() == ["node-01", "node-02", "node-03", "node-04"]
    with pytest.raises(RefusedError, match="numbers"):
        api.ask("POST", path, order | {"count": "96"})


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"perInstanceProperties": {"one": {}}}, "perInstanceProperties.key"),
        ({"perInstanceProperties": {"One": {"name": "One"}}}, "perInstance"),
        ({"perInstanceProperties": {"one": {"name": "two"}}}, "perInstance"),
        ({"perInstanceProperties": {}}, "namePattern"),
        ({"count": "2"}, "perInstanceProperties"),
        ({"count": "5001", "namePattern": "a-####"}, "count"),
        ({"minCount": "2"}, "minCount"),
        ({"locationPolicy": {}}, "locationPolicy"),
        (
            {"perInstanceProperties": {"one": {"hostname": "one", "name": "one"}}},
            "hostname",
        ),
    ],
)
def test_a_bulk_that_makes_no_sense_is_refused(
    api: Api, change: dict[str, Any], place: str
) -> None:
    order = bulk(api.endpoint, ["one"]) | change
    with pytest.raises(RefusedError, match=place):
        api.ask("POST", f"{api.zone}/instances/bulkInsert", order)


# -- capacity and quota


def test_of_a_bulk_that_does_not_fit_nothing_stays(api: Api) -> None:
    api.endpoint.behave(capacity={ZONE: 2}, operation_seconds=0.8)
    operation = api.order("a", "b", "c")
    assert api.names() == ["a", "b"]  # for a moment
    done = api.done(operation)
    assert codes(done) == ["VM_MIN_COUNT_NOT_REACHED", "ZONE_RESOURCE_POOL_EXHAUSTED"]
    assert tallies(done)[ZONE] == {
        "targetVmCount": 3,
        "createdVmCount": 2,
        "failedToCreateVmCount": 1,
        "deletedVmCount": 2,
        "status": "DONE",
    }
    assert api.names() == []
    assert api.endpoint.resources()[0]["disks"] == []


def test_of_a_bulk_that_fits_in_part_enough_stays(api: Api) -> None:
    api.endpoint.behave(capacity={f"{ZONE}/e2-small": 2})
    done = api.launch("a", "b", "c", count=1)
    assert codes(done) == []
    assert api.names() == ["a", "b"]
    where = f"operationGroupId={done['operationGroupId']} operationType=insert"
    found = api.ask("GET", f"{api.zone}/operations", filter=where)["items"]
    failed = [one for one in found if "error" in one]
    assert len(found) == 3
    assert [one["targetLink"].rpartition("/")[2] for one in failed] == ["c"]
    assert codes(failed[0]) == ["ZONE_RESOURCE_POOL_EXHAUSTED"]
    api.endpoint.behave(partial_errors=True, capacity={})

    assert codes(api.launch("a", "d", count=1)) == ["RESOURCE_ALREADY_EXISTS"]


def test_a_single_instance_finds_no_machine_in_its_operation(api: Api) -> None:
    api.endpoint.behave(capacity={"": 0})
    failed = api.insert("a")
    assert codes(failed) == ["ZONE_RESOURCE_POOL_EXHAUSTED"]
    assert failed["httpErrorStatusCode"] == 503
    assert api.names() == []


def test_the_quota_is_met_at_once_or_in_the_operation(api: Api) -> None:
    api.endpoint.behave(quota=1)
    with pytest.raises(RefusedError) as no:
        api.order("a", "b")
    assert (no.value.status, no.value.reason) == (403, "quotaExceeded")
    api.endpoint.behave(quota_early=False)
    failed = api.launch("a", "b")
    assert codes(failed) == ["VM_MIN_COUNT_NOT_REACHED", "QUOTA_EXCEEDED"]
    details = failed["error"]["errors"][1]["errorDetails"]
    assert details[0]["quotaInfo"]["limit"] == 1.0
    assert codes(api.launch("a")) == []


def test_what_rests_leaves_its_machine_to_others(api: Api) -> None:
    api.endpoint.behave(capacity={"": 1}, boot_seconds=0.05, stop_seconds=0.05)
    api.launch("a")
    api.becomes("a", "RUNNING")
    api.done(api.act("a", "stop"))
    assert codes(api.launch("b")) == []

    assert codes(api.done(api.act("a", "start"))) == ["ZONE_RESOURCE_POOL_EXHAUSTED"]
    assert api.get("a")["status"] == "TERMINATED"


# -- regions


def test_a_region_puts_all_in_one_zone_unless_told_otherwise(api: Api) -> None:
    api.endpoint.behave(capacity={"us-central1-a": 1, "us-central1-b": 3})
    deny = {f"zones/us-central1-{letter}": {"preference": "DENY"} for letter in "cf"}
    policy = {"locationPolicy": {"locations": deny}}
    done = spread(api, ["a", "b", "c"], "", **policy)
    assert done["region"].endswith("regions/us-central1")
    assert zones(api) == ["b", "b", "b"]
    assert list(tallies(done)) == ["us-central1-b"]

    assert codes(spread(api, ["d", "e"], "", **policy))[0] == "VM_MIN_COUNT_NOT_REACHED"


@pytest.mark.parametrize(
    ("shape", "expected"),
    [("ANY", "aabbb"), ("BALANCED", "aabcf")],
)
def test_a_region_spreads_instances_as_told(
    api: Api, shape: str, expected: str
) -> None:
    api.endpoint.behave(capacity={"us-central1-a": 2})
    done = spread(api, list("vwxyz"), shape)
    assert "".join(zones(api)) == expected
    assert sum(one["createdVmCount"] for one in tallies(done).values()) == 5


def test_a_region_leaves_out_zones_without_such_machines(api: Api) -> None:
    done = spread(api, ["a"], "ANY", properties={"machineType": "a2-highgpu-1g"})
    assert list(tallies(done)) == ["us-central1-a"]


# -- failures and losses


def test_instances_fail_as_told(api: Api) -> None:
    api.endpoint.behave(operation_errors={"INTERNAL_ERROR": 1, "instances.stop/BAD": 1})
    assert codes(api.insert("a")) == ["INTERNAL_ERROR"]
    assert codes(api.insert("a")) == []
    assert codes(api.done(api.act("a", "stop"))) == ["BAD"]
    assert api.get("a")["status"] in ("PROVISIONING", "STAGING", "RUNNING")
    assert codes(api.done(api.act("a", "stop"))) == []


@pytest.mark.parametrize(
    ("action", "state"), [("STOP", "TERMINATED"), ("DELETE", "gone")]
)
def test_spot_instances_are_preempted(api: Api, action: str, state: str) -> None:
    api.endpoint.behave(boot_seconds=0.05, stop_seconds=0.05)
    model = {"provisioningModel": "SPOT", "instanceTerminationAction": action}
    api.insert("a", scheduling=model)
    api.insert("b")
    api.becomes("a", "RUNNING")
    api.endpoint.behave(spot_loss=0.05)

    def reached() -> bool:
        found = {one["name"]: one["state"] for one in api.endpoint.instances()}
        return bool(found.get("a", "gone") == state)

    eventually(reached)
    assert "b" in api.names()


def test_an_instance_ends_when_its_time_is_over(api: Api) -> None:
    api.endpoint.behave(boot_seconds=0.05, stop_seconds=0.05)
    limit = {"seconds": "0", "nanos": 50_000_000}
    lease = {"maxRunDuration": limit, "instanceTerminationAction": "DELETE"}
    with pytest.raises(RefusedError, match="between 30 s"):
        api.insert("a", scheduling=lease)
    api.endpoint.behave(shortest_run=0.0)
    api.insert("a", scheduling=lease)

    eventually(lambda: api.names() == [])
    assert api.endpoint.resources()[0]["disks"] == []
