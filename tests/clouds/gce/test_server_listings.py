"""How the test server lists: filters, pages, places, and what is missing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clouds.endpoint import eventually
from tests.clouds.gce.client import Api, RefusedError, bulk
from tests.clouds.gce.filters import compiled
from tests.clouds.gce.masks import masked, parsed
from tests.clouds.gce.refusals import RefusalError


def launched(api: Api, zone: str, *names: str, **more: Any) -> None:
    path = f"zones/{zone}/instances/bulkInsert"
    api.done(api.ask("POST", path, bulk(api.endpoint, names, **more)))


def everywhere(api: Api, **query: Any) -> dict[str, list[str]]:
    """Return the names of all instances by zone."""
    found = api.ask("GET", "aggregated/instances", **query)["items"]
    return {
        scope.removeprefix("zones/"): [one["name"] for one in part["instances"]]
        for scope, part in found.items()
        if "instances" in part
    }


def test_a_list_comes_page_by_page(api: Api) -> None:
    api.launch(*(f"n{number}" for number in range(7)))
    first = api.ask("GET", f"{api.zone}/instances", maxResults=3)
    api.delete("n0")  # what is gone shifts no page
    api.delete("n2")
    token = first["nextPageToken"]
    second = api.ask("GET", f"{api.zone}/instances", maxResults=3, pageToken=token)
    token = second["nextPageToken"]

    assert [one["name"] for one in first["items"]] == ["n0", "n1", "n2"]
    assert [one["name"] for one in second["items"]] == ["n3", "n4", "n5"]
    assert api.names(maxResults=3, pageToken=token) == ["n6"]
    with pytest.raises(RefusedError, match="pageToken"):
        api.names(pageToken="x")


def test_an_aggregated_list_has_all_zones_on_each_page(api: Api) -> None:
    launched(api, "us-central1-a", "a", "b")
    launched(api, "europe-west1-b", "c")
    page = api.ask("GET", "aggregated/instances", maxResults=2)
    assert len(page["items"]) == 7
    empty = page["items"]["zones/us-central1-f"]
    assert empty["warning"]["code"] == "NO_RESULTS_ON_PAGE"
    assert everywhere(api, maxResults=2, pageToken=page["nextPageToken"]) == {
        "us-central1-a": ["b"]
    }
    assert everywhere(api) == {"europe-west1-b": ["c"], "us-central1-a": ["a", "b"]}


def test_the_newest_may_come_first(api: Api) -> None:
    for name in ("b", "c", "a"):
        api.launch(name)
    assert api.names() == ["a", "b", "c"]
    assert api.names(orderBy="creationTimestamp desc") == ["a", "c", "b"]
    with pytest.raises(RefusedError, match="orderBy"):
        api.names(orderBy="status")


def test_lists_are_filtered_by_labels(api: Api) -> None:
    launched(api, "us-central1-a", "a", labels={"cluster": "c1"})
    launched(api, "us-central1-b", "b", labels={"cluster": "c2"})
    assert everywhere(api, filter="labels.cluster=c1") == {"us-central1-a": ["a"]}
    assert api.names(filter='labels.cluster != "c1"') == []


RESOURCE = {
    "name": "node-1",
    "status": "RUNNING",
    "id": "42",
    "labels": {"aioec-cluster-id": "c1", "n": "7"},
    "scheduling": {"preemptible": False},
    "tags": {"items": ["web", "db"]},
}


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("name=node-1", True),
        ("name = node-2", False),
        ("name != node-2", True),
        ("name:node*", True),
        ("name:ODE", True),
        ("name eq node-.*", True),
        ("name eq node", False),
        ("name ne node-.*", False),
        ("labels.aioec-cluster-id=c1", True),
        ("labels.aioec-cluster-id:*", True),
        ("labels.none:*", False),
        ("labels.none=c1", False),
        ("labels.none!=c1", True),
        ("labels.n>6 labels.n<=7", True),
        ("labels.n>10", False),
        ("scheduling.preemptible=false", True),
        ("tags.items=db", True),
        ("(status=RUNNING) (labels.n=7)", True),
        ("status=RUNNING AND labels.n=8", False),
        ("status=STAGING OR status=RUNNING", True),
        ("status=STAGING OR status=RUNNING AND id=1", False),
        ("NOT status=STAGING", True),
        ("NOT (status=RUNNING OR id=1)", False),
        ('name="node-1"', True),
    ],
)
def test_a_filter_means_what_google_says(text: str, fits: bool) -> None:
    assert compiled(text)(RESOURCE) is fits


@pytest.mark.parametrize(
    "text",
    [
        "name",
        "name=",
        "=a",
        "(name=a",
        "name=a)",
        "name=a OR",
        "name eq (",
        "a==b",
        ")",
    ],
)
def test_a_filter_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(RefusalError, match="filter"):
        compiled(text)


def test_a_fresh_instance_is_missing_in_lists_for_a_time(api: Api) -> None:
    api.endpoint.behave(list_lag=0.6)
    api.launch("a")
    assert api.names() == []
    assert everywhere(api) == {}
    assert api.get("a")["name"] == "a"

    eventually(lambda: api.names() == ["a"])


def test_a_zone_that_cannot_be_asked_is_left_out(api: Api) -> None:
    launched(api, "us-central1-a", "a")
    launched(api, "us-central1-b", "b")
    api.endpoint.behave(unreachable=["us-central1-b"])
    page = api.ask("GET", "aggregated/instances")
    assert page["unreachables"] == ["zones/us-central1-b"]
    assert page["items"]["zones/us-central1-b"]["warning"]["code"] == "UNREACHABLE"
    assert everywhere(api) == {"us-central1-a": ["a"]}
    api.endpoint.behave(partial_unasked=False)
    assert everywhere(api, returnPartialSuccess=True) == {"us-central1-a": ["a"]}
    for path in ("aggregated/instances", "zones/us-central1-b/instances"):
        with pytest.raises(RefusedError) as no:
            api.ask("GET", path)
        assert (no.value.status, no.value.reason) == (503, "backendError")


def test_only_some_fields_may_be_asked_for(api: Api) -> None:
    api.launch("a")
    fields = "items/*/instances(name,networkInterfaces/networkIP),nextPageToken"
    page = api.ask("GET", "aggregated/instances", fields=fields)
    (one,) = page["items"]["zones/us-central1-a"]["instances"]

    assert list(page) == ["items"]
    assert one.keys() == {"name", "networkInterfaces"}
    assert one["networkInterfaces"][0].keys() == {"networkIP"}


def test_a_mask_is_read_as_google_writes_it() -> None:
    value = {"a": {"b": 1, "c": [{"d": 1, "e": 2}]}, "f": {"x": {"g": 1, "h": 2}}}
    assert masked(value, parsed("a/c/d")) == {"a": {"c": [{"d": 1}]}}
    assert masked(value, parsed("a(b,c(e)),f/*/h")) == {
        "a": {"b": 1, "c": [{"e": 2}]},
        "f": {"x": {"h": 2}},
    }
    for text in ("", "a(", "a)", "a,,b", "a//b", "a(b", "/a", "a b;"):
        with pytest.raises(RefusalError, match="fields"):
            parsed(text)
