"""Google's own document and clients have the last word on the test server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, NotFound
from google.cloud import compute_v1
from google.cloud.compute_v1.services.instances.transports.rest import (
    InstancesRestTransport,
)
from google.cloud.compute_v1.services.zone_operations.transports.rest import (
    ZoneOperationsRestTransport,
)
from google.oauth2 import service_account
from googleapiclient.discovery import build  # type: ignore[import-untyped]
from googleapiclient.errors import HttpError  # type: ignore[import-untyped]

from tests.clouds.gce.client import Api, RefusedError, bulk, properties, single
from tests.clouds.gce.spec import spec

SCOPES = ["https://www.googleapis.com/auth/compute"]
WHERE = {"project": "first-project", "zone": "us-central1-a"}


@pytest.fixture
def credentials(api: Api, tmp_path: Path) -> Any:
    files = api.endpoint.write_credentials(tmp_path)
    return service_account.Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
        files.first, scopes=SCOPES
    )


# -- google-api-python-client


@pytest.fixture
def service(api: Api, credentials: Any) -> Iterator[Any]:
    root = api.endpoint.api_root
    with build(
        "compute",
        "v1",
        static_discovery=True,
        credentials=credentials,
        client_options={"api_endpoint": root},
    ) as service:
        yield service


def test_the_discovery_client_leads_instances_through_their_life(
    api: Api, service: Any
) -> None:
    instances, operations = service.instances(), service.zoneOperations()

    def finished(operation: Any) -> Any:
        return operations.wait(**WHERE, operation=operation["name"]).execute()

    one = single(api.endpoint, "one")
    assert finished(instances.insert(**WHERE, body=one).execute())["status"] == "DONE"
    many = bulk(api.endpoint, ["two", "three"])
    made = finished(instances.bulkInsert(**WHERE, body=many).execute())
    tally = made["instancesBulkInsertOperationMetadata"]["perLocationStatus"]
    assert tally["zones/us-central1-a"]["createdVmCount"] == 2
    listed = instances.list(**WHERE).execute()["items"]
    assert [found["name"] for found in listed] == ["one", "three", "two"]
    assert instances.get(**WHERE, instance="one").execute()["id"]
    finished(instances.delete(**WHERE, instance="one").execute())
    with pytest.raises(HttpError) as gone:
        instances.get(**WHERE, instance="one").execute()
    assert gone.value.status_code == 404
    pages = []
    request = instances.aggregatedList(project=WHERE["project"], maxResults=1)
    while request is not None:
        page = request.execute()
        pages.append(page["items"]["zones/us-central1-a"]["instances"][0]["name"])
        request = instances.aggregatedList_next(request, page)
    assert pages == ["three", "two"]


def test_the_discovery_client_reads_errors(api: Api, service: Any) -> None:
    broken = single(api.endpoint, "one") | {"machine_type": "e2-small"}
    with pytest.raises(HttpError, match='Unknown name "machine_type"'):
        service.instances().insert(**WHERE, body=broken).execute()


# -- google-cloud-compute


def client_of(kind: Any, transport: Any, api: Api, credentials: Any) -> Any:
    host = api.endpoint.metadata_host
    return kind(
        transport=transport(host=host, credentials=credentials, url_scheme="http")
    )


@pytest.fixture
def instances(api: Api, credentials: Any) -> Iterator[Any]:
    transport = InstancesRestTransport
    with client_of(compute_v1.InstancesClient, transport, api, credentials) as client:
        yield client


@pytest.fixture
def wait(api: Api, credentials: Any) -> Iterator[Callable[[Any], Any]]:
    transport, kind = ZoneOperationsRestTransport, compute_v1.ZoneOperationsClient
    with client_of(kind, transport, api, credentials) as client:
        yield lambda operation: client.wait(**WHERE, operation=operation.name)


def test_the_cloud_client_leads_instances_through_their_life(
    api: Api, instances: Any, wait: Any
) -> None:
    image = compute_v1.AttachedDiskInitializeParams(source_image=api.endpoint.image_id)
    disk = compute_v1.AttachedDisk(boot=True, auto_delete=True, initialize_params=image)
    network = compute_v1.NetworkInterface(network="global/networks/default")
    one = compute_v1.Instance(
        name="one",
        machine_type="zones/us-central1-a/machineTypes/e2-small",
        disks=[disk],
        network_interfaces=[network],
        labels={"a": "b"},
    )
    assert (
        wait(instances.insert_unary(**WHERE, instance_resource=one)).error.errors == []
    )
    single = compute_v1.BulkInsertInstanceResourcePerInstanceProperties
    many = compute_v1.BulkInsertInstanceResource(
        count=2,
        min_count=2,
        per_instance_properties={name: single(name=name) for name in ("two", "three")},
        instance_properties=compute_v1.InstanceProperties(
            machine_type="e2-small", disks=[disk], network_interfaces=[network]
        ),
    )
    made = wait(
        instances.bulk_insert_unary(
            **WHERE, bulk_insert_instance_resource_resource=many
        )
    )
    tally = made.instances_bulk_insert_operation_metadata.per_location_status
    assert tally["zones/us-central1-a"].created_vm_count == 2
    assert [found.name for found in instances.list(**WHERE)] == ["one", "three", "two"]
    assert instances.get(**WHERE, instance="one").labels == {"a": "b"}
    wait(instances.delete_unary(**WHERE, instance="one"))
    with pytest.raises(NotFound):
        instances.get(**WHERE, instance="one")
    found = dict(instances.aggregated_list(project=WHERE["project"]))
    assert len(found["zones/us-central1-a"].instances) == 2


def test_the_cloud_client_reads_errors(instances: Any) -> None:
    with pytest.raises(BadRequest, match=r"resource\.name"):
        instances.insert_unary(
            **WHERE, instance_resource=compute_v1.Instance(name="Upper")
        )


# -- what the document does not allow


def altered(api: Api, **more: Any) -> Any:
    return bulk(api.endpoint, ["one"]) | more


BROKEN: list[tuple[Callable[[Api], Any], str]] = [
    (lambda api: altered(api, counts="1"), 'Unknown name "counts"'),
    (lambda api: altered(api, count="many"), "resource.count"),
    (lambda api: altered(api, count=1.5), "resource.count"),
    (
        lambda api: altered(api, locationPolicy={"targetShape": "ROUND"}),
        "resource.locationPolicy.targetShape",
    ),
    (
        lambda api: bulk(api.endpoint, ["one"], machine_type="e2-small"),
        "Unknown name \"machine_type\" at 'instanceProperties'",
    ),
    (
        lambda api: bulk(api.endpoint, ["one"], labels={"a": 1}),
        "resource.instanceProperties.labels.a",
    ),
    (
        lambda api: bulk(api.endpoint, ["one"], scheduling={"provisioningModel": "X"}),
        "resource.instanceProperties.scheduling.provisioningModel",
    ),
    (lambda api: [], "Root element must be a message"),
]


@pytest.mark.parametrize(("order", "place"), BROKEN, ids=[one for _, one in BROKEN])
def test_a_body_that_the_document_forbids_is_refused(
    api: Api, order: Callable[[Api], Any], place: str
) -> None:
    with pytest.raises(RefusedError) as no:
        api.ask("POST", f"{api.zone}/instances/bulkInsert", order(api))

    assert no.value.status == 400
    assert place in no.value.message
    assert api.names() == []


def test_a_method_demands_what_the_document_says_of_it(api: Api) -> None:
    with pytest.raises(RefusedError, match=r"resource\.name"):
        api.ask("POST", f"{api.zone}/instances", properties(api.endpoint))


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("zones/us-central1-a/instancez", {}, 404),
        ("zones/us-central1-a/instances", {"requestId": "x"}, 400),
        ("zones/us-central1-a/instances", {"maxResults": "-1"}, 400),
        ("zones/us-central1-a/instances", {"maxResults": "501"}, 400),
        ("zones/us-central1-a/instances", {"alt": "xml"}, 400),
        ("zones/us-central1-a/instances", {"zone": "us-central1-b"}, 400),
        ("zones/us-central1-a/instances", {"returnPartialSuccess": "yes"}, 400),
        ("zones/us-central1-a/instances", {"returnPartialSuccess": "true"}, 200),
        ("zones/us-central1-a/instances/Upper", {}, 400),
        ("zones/us-central1-z/instances", {}, 400),
        ("zones/us-central1-a/autoscalers", {}, 501),
    ],
)
def test_a_path_and_its_query_have_to_be_known(
    api: Api, path: str, query: dict[str, str], status: int
) -> None:
    try:
        api.ask("GET", path, **query)
        found = 200
    except RefusedError as no:
        found = no.status

    assert found == status


def test_a_method_without_a_body_takes_none(api: Api) -> None:
    operation = api.order("one")
    path = f"{api.zone}/operations/{operation['name']}/wait"
    with pytest.raises(RefusedError, match="no body"):
        api.ask("POST", path, {"timeout": 3})


def test_a_reply_that_google_would_not_send_is_a_bug() -> None:
    method, _ = spec().route("GET", "projects/p/zones/z/instances/one")
    spec().check_reply(method, {"name": "one", "id": "1", "status": "RUNNING"})
    wrongs: list[Any] = [{"status": "running"}, {"id": 1}, {"label": {}}, {"disks": 1}]
    for wrong in wrongs:
        with pytest.raises(AssertionError, match=r"instances\.get"):
            spec().check_reply(method, wrong)


def test_checking_takes_little_time(api: Api) -> None:
    """Not more than 10 ms for a bulk of 100; it takes a fiftieth of that."""
    method, _ = spec().route("POST", "projects/p/zones/z/instances/bulkInsert")
    order = bulk(api.endpoint, [f"node{number}" for number in range(100)])
    check = spec()._check
    check(method, order)  # the first time it is made ready
    before = time.process_time()
    for _ in range(10):
        check(method, order)

    assert (time.process_time() - before) / 10 < 0.01
