"""Records to plain data and back, by way of real JSON."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from aioelasticluster.errors import RepositoryError
from aioelasticluster.model.codec import (
    SCHEMA,
    check_plain,
    record_from_plain,
    record_to_plain,
)
from aioelasticluster.model.records import (
    AdapterSettings,
    ClusterHead,
    ClusterRecord,
    NodeRecord,
    NodeSpec,
    OrderRecord,
    OrderState,
)
from aioelasticluster.model.states import NodeState, Target

SPEC = NodeSpec(
    kind="compute",
    image_id="img",
    image_user="ubuntu",
    flavor="small",
    security_group="default",
    image_userdata="#cloud-config\n☃\n",
    options={"deep": {"list": [1, 2.5, None, True, {"x": "ü"}]}},
)
NODE = NodeRecord(
    name="compute001",
    spec=SPEC,
    instance_id="i-1",
    token="t",
    addresses=("10.0.0.1", "2001:db8::1"),
    ssh_port=2222,
    host_keys=("ssh-ed25519 A", "ssh-ed25519 B"),
    fault="no route",
)
ORDER = OrderRecord(
    token="t",
    zone="a",
    names=("compute001", "compute002"),
    attempt=3,
    digest="d",
    host_key="k",
    written=1.25,
)
HEAD = ClusterHead(
    id="0123",
    name="demo",
    identity="account",
    plan="p",
    owner="o",
    kept=True,
    attempt=2,
    created=1.5,
    provider=AdapterSettings(adapter="ec2", settings={"region": "x", "n": [1]}),
    setup=AdapterSettings(adapter="ansible", settings={"groups": {"a": ["b"]}}),
    ssh_key_name="key",
    ssh_key_pub="pub",
    ssh_key_priv="priv",
    ssh_to="frontend",
    ssh_proxy="jump",
    host_keys="tofu",
    host_ca="ca",
)
RECORD = ClusterRecord(head=HEAD, nodes={NODE.name: NODE}, orders={"t": ORDER})


def plain() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(json.dumps(record_to_plain(RECORD)))
    return loaded


def test_a_record_comes_back_from_json() -> None:
    found = record_from_plain(plain())
    assert found == RECORD
    assert isinstance(found.head.target, Target)
    assert isinstance(found.nodes[NODE.name].state, NodeState)
    assert isinstance(found.orders["t"].state, OrderState)


@pytest.mark.parametrize("sample", [SPEC, NODE, ORDER, HEAD])
def test_the_samples_leave_no_field_at_its_default(sample: Any) -> None:
    # Else a field that the codec forgets would not be missed by the test above.
    left = {"state", "target"}  # each of their values has a test of its own
    for field in fields(sample):
        if field.name not in left:
            assert getattr(sample, field.name) != field.default


@pytest.mark.parametrize("state", NodeState)
def test_every_state_of_a_node_comes_back(state: NodeState) -> None:
    record = replace(RECORD, nodes={NODE.name: replace(NODE, state=state)})
    assert record_from_plain(record_to_plain(record)) == record


@pytest.mark.parametrize("state", OrderState)
def test_every_state_of_an_order_comes_back(state: OrderState) -> None:
    record = replace(RECORD, orders={"t": replace(ORDER, state=state)})
    assert record_from_plain(record_to_plain(record)) == record


@pytest.mark.parametrize("target", Target)
def test_every_target_comes_back(target: Target) -> None:
    record = replace(RECORD, head=replace(HEAD, target=target))
    assert record_from_plain(record_to_plain(record)) == record


def test_the_plain_form_shares_nothing_that_could_change() -> None:
    form = record_to_plain(RECORD)
    form["nodes"][0]["spec"]["options"]["new"] = 1
    form["head"]["provider"]["settings"]["new"] = 1
    assert "new" not in SPEC.options
    assert "new" not in HEAD.provider.settings


@pytest.mark.parametrize("schema", [None, 0, SCHEMA + 1, "1"])
def test_another_schema_is_refused_before_anything_else_is_read(schema: object) -> None:
    form = plain()
    form["head"]["schema"] = schema
    form["head"]["novelty"] = form["nodes"][0]["novelty"] = 1
    with pytest.raises(RepositoryError, match=f"schema {schema!r}.*or a newer one"):
        record_from_plain(form)


def test_an_older_record_without_newer_fields_is_read() -> None:
    form = plain()
    for field in ("plan", "owner", "kept"):
        del form["head"][field]
    assert record_from_plain(form).head == replace(HEAD, plan="", owner="", kept=False)


@pytest.mark.parametrize(
    "form",
    [
        None,
        [],
        "text",
        7,
        {},
        {"head": None},
        {"head": {"schema": SCHEMA}, "nodes": [], "orders": []},
        plain() | {"nodes": None},
        plain() | {"nodes": ["x"]},
        plain() | {"nodes": [{}]},
        plain() | {"orders": [{"token": "t"}]},
        plain() | {"nodes": [{**plain()["nodes"][0], "state": "dancing"}]},
        plain() | {"nodes": [{**plain()["nodes"][0], "novelty": 1}]},
    ],
)
def test_what_is_not_a_record_is_refused(form: Any) -> None:
    with pytest.raises(RepositoryError):
        record_from_plain(form)


@pytest.mark.parametrize(
    "value", [None, True, 1, 2.5, "ü", [], [1, [2]], {"a": {"b": [None]}}]
)
def test_plain_data_passes(value: object) -> None:
    check_plain("option", value)


def circle() -> list[object]:
    items: list[object] = []
    items.append(items)
    return items


@pytest.mark.parametrize(
    "value",
    [(1, 2), {1: "a"}, {1, 2}, b"x", object(), float("nan"), 1j, circle(), [(1,)]],
)
def test_what_json_would_change_is_refused_by_name(value: object) -> None:
    with pytest.raises(TypeError, match=r"^spot must be plain data"):
        check_plain("spot", value)
