"""What an order of an instance can be on the test server, and what it cannot."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clouds.gce.client import Api, RefusedError, bulk

MACHINES = "zones/us-central1-a/machineTypes"
IMAGES = "projects/ubuntu-os-cloud/global/images"
NETWORKS = "global/networks"
NEWEST = f"{IMAGES}/family/ubuntu-2404-lts-amd64"


def machine(text: str) -> dict[str, Any]:
    return {"machineType": text}


def disk(**more: Any) -> dict[str, Any]:
    return {"disks": [{"boot": True, "initializeParams": more}]}


def network(**more: Any) -> dict[str, Any]:
    return {"networkInterfaces": [more]}


def scheduling(**more: Any) -> dict[str, Any]:
    return {"scheduling": more}


def items(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {"metadata": {"items": [{"key": key, "value": one} for key, one in pairs]}}


WRONG: list[tuple[dict[str, Any], str]] = [
    (machine("e2-small"), "malformed"),
    (machine("zones/us-central1-a/diskTypes/e2-small"), "malformed"),
    (machine(f"{MACHINES}/e9"), "does not exist in zone"),
    (machine("zones/us-central1-b/machineTypes/e2-small"), "not in zone"),
    (machine(f"{MACHINES}/t2a-standard-2"), "architecture"),
    ({"disks": []}, "boot disk"),
    (disk(), "sourceImage"),
    (disk(sourceImage="ubuntu"), "malformed"),
    (disk(sourceImage=NEWEST, diskSizeGb="5"), "smaller"),
    (disk(sourceImage=NEWEST, diskType="pd-ssd"), "malformed"),
    ({"networkInterfaces": []}, "At least one"),
    (network(network=f"{NETWORKS}/none"), "cannot be found"),
    (network(network=f"projects/x/{NETWORKS}/default"), "cannot be found"),
    (network(network=f"{NETWORKS}/private"), "Subnetwork should"),
    (network(subnetwork="regions/europe-west1/subnetworks/default"), "cannot be found"),
    ({"labels": {"Key": "a"}}, "Label keys"),
    ({"labels": {"key": "A.b"}}, "Label values"),
    ({"labels": {"key": "x" * 64}}, "Label values"),
    ({"labels": {f"k{n}": "" for n in range(65)}}, "At most 64"),
    (items(("a", ""), ("a", "")), "twice"),
    (items(("a", "x" * 262145)), "longer"),
    (items(("a b", "")), "match of regex"),
    ({"tags": {"items": ["No"]}}, "valid tag"),
    (scheduling(instanceTerminationAction="DELETE"), "maximum run"),
    (scheduling(provisioningModel="SPOT", automaticRestart=True), "spot"),
]


@pytest.mark.parametrize(("change", "why"), WRONG)
def test_an_order_that_cannot_be_is_refused(
    api: Api, change: dict[str, Any], why: str
) -> None:
    with pytest.raises(RefusedError, match=why) as no:
        api.insert("a", **change)

    assert no.value.status == 400
    assert api.endpoint.instances() == []


def test_an_image_that_is_not_there_is_not_found(api: Api) -> None:
    with pytest.raises(RefusedError, match="family/none") as no:
        api.insert("a", **disk(sourceImage=f"{IMAGES}/family/none"))

    assert (no.value.status, no.value.reason) == (404, "notFound")


def test_what_the_server_does_not_do_it_says(api: Api) -> None:
    with pytest.raises(RefusedError, match="not supported here") as no:
        api.insert("a", confidentialInstanceConfig={})

    assert no.value.status == 501


def test_a_bulk_wants_names_where_a_single_order_wants_urls(api: Api) -> None:
    """Google's document: a URL "will result in an INTERNAL_ERROR"."""
    order = bulk(api.endpoint, ["a"], **machine(f"{MACHINES}/e2-small"))
    with pytest.raises(RefusedError, match="INTERNAL_ERROR"):
        api.ask("POST", f"{api.zone}/instances/bulkInsert", order)


def test_an_instance_is_what_was_ordered(api: Api) -> None:
    api.insert(
        "a",
        labels={"kind": "compute"},
        **network(subnetwork="regions/us-central1/subnetworks/private"),
        hostname="a.example.org",
        description="first",
    )
    found = api.get("a")
    (interface,) = found["networkInterfaces"]

    assert found["labels"] == {"kind": "compute"}
    assert found["machineType"].endswith(f"{MACHINES}/e2-small")
    assert (found["hostname"], found["description"]) == ("a.example.org", "first")
    assert interface["network"].endswith("/global/networks/private")
    assert interface["networkIP"].startswith("127.")
    assert "accessConfigs" not in interface
