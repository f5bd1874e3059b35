"""What EC2 says of instances, as ours."""

from __future__ import annotations

from typing import Any

import pytest

from aioelasticluster import CapacityError, ProviderError, QuotaError
from aioelasticluster.providers.base import InstanceState
from aioelasticluster.providers.ec2.listing import chunks, instances_of
from tests.providers.ec2.samples import described


def test_the_launch_index_says_which_node_an_instance_is() -> None:
    reservation = {"Instances": [described("i-b", index=0), described("i-a", index=1)]}
    found = {instance.name: instance.id for instance in instances_of([reservation])}
    assert found == {"compute001": "i-b", "compute002": "i-a"}


def test_where_all_have_the_same_index_the_ids_decide() -> None:
    reservations = [{"Instances": [described(id)]} for id in ("i-b", "i-a")]
    found = {instance.name: instance.id for instance in instances_of(reservations)}
    assert found == {"compute001": "i-a", "compute002": "i-b"}


def test_instances_of_others_keep_their_index() -> None:
    stranger = {"InstanceId": "i-x", "State": {"Name": "running"}, "AmiLaunchIndex": 0}
    another = stranger | {"InstanceId": "i-y"}
    found = instances_of([{"Instances": [stranger, another]}])
    assert [instance.index for instance in found] == [0, 0]
    assert [instance.tags for instance in found] == [None, None]


def test_public_addresses_are_tried_first() -> None:
    item = described("i-1", PublicIpAddress="198.51.100.1", PrivateIpAddress="10.0.0.1")
    (instance,) = instances_of([{"Instances": [item]}])
    assert instance.addresses == ("198.51.100.1", "10.0.0.1")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("Server.InsufficientInstanceCapacity", CapacityError),
        ("Server.SpotInstanceTermination", CapacityError),
        ("Client.VolumeLimitExceeded", QuotaError),
        ("Server.InternalError", ProviderError),
    ],
)
def test_an_instance_that_ended_by_itself_says_why(
    code: str, kind: type[ProviderError]
) -> None:
    reason = {"Code": code, "Message": f"{code}: so it is"}
    item = described("i-1", state="terminated", StateReason=reason)
    (instance,) = instances_of([{"Instances": [item]}])
    assert instance.state is InstanceState.FAILED
    assert type(instance.fault) is kind
    assert "so it is" in str(instance.fault)


@pytest.mark.parametrize(
    "reason", [{}, {"StateReason": {"Code": "Client.UserInitiatedShutdown"}}]
)
def test_an_instance_that_was_terminated_is_no_more(reason: dict[str, Any]) -> None:
    item = described("i-1", state="terminated", **reason)
    assert instances_of([{"Instances": [item]}]) == ()


def test_ids_are_asked_about_in_lists_that_fit() -> None:
    assert list(chunks(["c", "a", "b", "a"], 2)) == [["a", "b"], ["c"]]
