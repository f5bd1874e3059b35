"""What the test server has beside instances: places, machines, images, networks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clouds.gce.client import Api, RefusedError, codes


def names(api: Api, path: str, **query: Any) -> list[str]:
    return [one["name"] for one in api.ask("GET", path, **query).get("items", ())]


def refused(api: Api, path: str) -> int:
    with pytest.raises(RefusedError) as no:
        api.ask("GET", path)
    return no.value.status


def test_the_project_tells_of_itself(api: Api) -> None:
    api.launch("a")
    found = api.ask_root("GET", f"projects/{api.project}")
    (quota,) = [one for one in found["quotas"] if one["metric"] == "INSTANCES"]

    assert (found["name"], found["id"]) == (api.project, "100000000001")
    assert quota == {"metric": "INSTANCES", "limit": 10000, "usage": 1}


def test_there_are_regions_with_zones(api: Api) -> None:
    assert names(api, "regions") == ["europe-west1", "us-central1"]
    found = api.ask("GET", "regions/us-central1")["zones"]
    assert [zone.rpartition("/")[2] for zone in found] == list(api.endpoint.zones)
    assert len(names(api, "zones")) == 7
    assert api.ask("GET", "zones/europe-west1-b")["status"] == "UP"
    assert refused(api, "zones/us-central1-z") == 400
    assert refused(api, "regions/none") == 400


def test_machine_types_are_not_the_same_everywhere(api: Api) -> None:
    assert "a2-highgpu-1g" in names(api, "zones/us-central1-a/machineTypes")
    assert "a2-highgpu-1g" not in names(api, "zones/us-central1-b/machineTypes")
    found = api.ask("GET", "zones/us-central1-a/machineTypes/a2-highgpu-1g")
    assert found["accelerators"][0]["guestAcceleratorCount"] == 1
    assert refused(api, "zones/us-central1-b/machineTypes/a2-highgpu-1g") == 404
    small = names(api, f"{api.zone}/machineTypes", filter="guestCpus < 4")
    assert "e2-small" in small
    assert "e2-standard-4" not in small
    everywhere = api.ask("GET", "aggregated/machineTypes")["items"]
    assert len(everywhere) == 7


def test_images_come_in_families(api: Api) -> None:
    ubuntu = "projects/ubuntu-os-cloud/global/images"
    newest = api.ask_root("GET", f"{ubuntu}/family/ubuntu-2404-lts-amd64")
    assert newest["name"] == "ubuntu-2404-noble-amd64-v20261110"
    older = api.ask_root("GET", f"{ubuntu}/ubuntu-2404-noble-amd64-v20261008")
    assert older["deprecated"]["state"] == "DEPRECATED"
    assert len(api.ask_root("GET", ubuntu)["items"]) == 3
    assert names(api, "global/images") == []
    for path in ("none", "family/none"):
        with pytest.raises(RefusedError) as no:
            api.ask_root("GET", f"{ubuntu}/{path}")
        assert no.value.status == 404


def test_networks_have_parts_in_regions(api: Api) -> None:
    assert names(api, "global/networks") == ["default", "private"]
    found = api.ask("GET", "global/networks/default")
    assert found["autoCreateSubnetworks"] is True
    assert len(found["subnetworks"]) == 2
    assert names(api, "regions/europe-west1/subnetworks") == ["default"]
    part = api.ask("GET", "regions/us-central1/subnetworks/private")
    assert part["network"].endswith("/private")
    assert part["ipCidrRange"].startswith("127.")
    assert len(api.ask("GET", "aggregated/subnetworks")["items"]) == 2
    assert refused(api, "regions/europe-west1/subnetworks/private") == 404
    assert refused(api, "global/networks/none") == 404


# -- firewall rules

RULE = {
    "name": "aioec-rule",
    "network": "global/networks/default",
    "description": "for a test",
    "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}],
    "sourceRanges": ["0.0.0.0/0"],
    "targetTags": ["cluster"],
}


def test_a_firewall_rule_is_made_found_and_deleted(api: Api) -> None:
    made = api.done(api.ask("POST", "global/firewalls", RULE))
    assert (codes(made), made["operationType"]) == ([], "insert")
    found = api.ask("GET", "global/firewalls/aioec-rule")
    assert found["targetTags"] == ["cluster"]
    assert (found["direction"], found["priority"]) == ("INGRESS", 1000)
    assert names(api, "global/firewalls", filter="name:aioec-*") == ["aioec-rule"]
    assert api.endpoint.resources()[0]["firewalls"] == ["aioec-rule"]
    with pytest.raises(RefusedError) as no:
        api.ask("POST", "global/firewalls", RULE)
    assert no.value.status == 409
    api.done(api.ask("DELETE", "global/firewalls/aioec-rule"))

    assert names(api, "global/firewalls") == []
    assert refused(api, "global/firewalls/aioec-rule") == 404


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"allowed": []}, "Exactly one"),
        ({"denied": [{"IPProtocol": "tcp"}]}, "Exactly one"),
        ({"allowed": [{"ports": ["22"]}]}, "IPProtocol"),
        ({"sourceRanges": ["everywhere"]}, "CIDR"),
        ({"network": "global/networks/none"}, "cannot be found"),
        ({"name": "Rule"}, "match of regex"),
    ],
)
def test_a_firewall_rule_that_cannot_be_is_refused(
    api: Api, change: dict[str, Any], why: str
) -> None:
    with pytest.raises(RefusedError, match=why):
        api.ask("POST", "global/firewalls", RULE | change)


def test_a_reset_leaves_nothing(api: Api) -> None:
    api.launch("a")
    api.ask("POST", "global/firewalls", RULE)
    api.endpoint.reset()

    assert api.endpoint.instances() == api.endpoint.requests() == []
    for project in api.endpoint.resources():
        assert project.pop("project")
        assert not any(project.values())
