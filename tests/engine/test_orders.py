"""Which nodes go into one order, under which token, with which user-data."""

from __future__ import annotations

import json
from email import message_from_string

import pytest

from aioelasticluster import ConfigurationError
from aioelasticluster.engine.orders import batches_of, token_of
from aioelasticluster.model.names import parse_hostlist
from aioelasticluster.model.records import NodeRecord, NodeSpec
from aioelasticluster.model.tags import names_fit
from aioelasticluster.model.user_data import check_user_data, cloud_config, merged
from aioelasticluster.testing.fake_cloud import injected

ID = "0123456789abcdef0123456789abcdef"


def node(name: str, flavor: str = "big") -> NodeRecord:
    spec = NodeSpec(
        kind="compute",
        image_id="image",
        image_user="debian",
        flavor=flavor,
        security_group="default",
    )
    return NodeRecord(name=name, spec=spec)


def test_equal_nodes_go_into_one_order() -> None:
    nodes = [node("compute001"), node("gpu001", "huge"), node("compute002")]
    assert [names for _, names in batches_of(nodes, 100)] == [
        ("compute001", "compute002"),
        ("gpu001",),
    ]


def test_an_order_is_no_bigger_than_the_cloud_allows() -> None:
    nodes = [node(f"compute{index:03d}") for index in range(1, 251)]
    batches = [names for _, names in batches_of(nodes, 100)]
    assert [len(names) for names in batches] == [100, 100, 50]
    assert [name for names in batches for name in names] == [n.name for n in nodes]


def test_an_order_whose_names_do_not_fit_a_tag_is_split() -> None:
    nodes = [node(f"compute{index:03d}") for index in range(1, 100, 2)]
    batches = [names for _, names in batches_of(nodes, 100)]
    assert len(batches) > 1
    assert all(names_fit(names) for names in batches)
    assert [name for names in batches for name in names] == [n.name for n in nodes]


def test_a_token_is_the_same_for_the_same_and_differs_for_anything_else() -> None:
    names = ("compute001", "compute002")
    token = token_of(ID, names, "a", 1)
    assert token == token_of(ID, names, "a", 1)
    assert len(token) == len(bytes.fromhex(token)) * 2 == 32
    others = [
        token_of(ID[::-1], names, "a", 1),
        token_of(ID, names[:1], "a", 1),
        token_of(ID, names, "b", 1),
        token_of(ID, names, "a", 2),
    ]
    assert len({token, *others}) == 5


def test_our_cloud_config_carries_the_host_key() -> None:
    text = cloud_config("private", "ssh-ed25519 AAAA")
    assert text.startswith("#cloud-config\n")
    keys = json.loads(text.partition("\n")[2])["ssh_keys"]
    assert keys == {"ed25519_private": "private", "ed25519_public": "ssh-ed25519 AAAA"}


@pytest.mark.parametrize("theirs", ["#!/bin/sh\necho ü\n", "#cloud-config\na: 1\n"])
def test_user_data_of_the_users_travels_beside_ours(theirs: str) -> None:
    both = merged(cloud_config("private", "ssh-ed25519 AAAA"), theirs)
    parts = [p for p in message_from_string(both).walk() if not p.is_multipart()]
    contents = [part.get_payload(decode=True) for part in parts]
    assert contents[1] == theirs.encode()
    assert injected(both) == "ssh-ed25519 AAAA"


def test_user_data_that_nobody_would_understand_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"image_userdata.*#cloud-config"):
        check_user_data("apt-get install slurm")


def test_the_names_of_an_order_can_be_read_from_its_tag() -> None:
    assert parse_hostlist("compute[003,007-009],login") == (
        "compute003",
        "compute007",
        "compute008",
        "compute009",
        "login",
    )
