"""What every instance says of itself."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from aioelasticluster._process import ProcessIdentity
from aioelasticluster.model.tags import LONGEST, PREFIX, SCHEMA, Tags, names_fit

OWNER = replace(
    ProcessIdentity.current(), user="u" * 12, pid=2**22, start="9" * 12
).encoded()
TAGS = Tags(
    cluster_id=uuid.uuid4().hex,
    cluster="c" * 60,
    repository=f"mem-{uuid.uuid4().hex}",
    owner=OWNER,
    token=uuid.uuid4().hex,
    kind="k" * 55,
    names=tuple(f"compute{index:03d}" for index in range(1, 101)),
    login="ubuntu",
    ssh_port=65535,
)


def test_tags_read_back() -> None:
    assert Tags.decoded(TAGS.encoded()) == TAGS


def test_other_tags_beside_ours_are_no_matter() -> None:
    assert Tags.decoded({**TAGS.encoded(), "Name": "x", "team": "y"}) == TAGS


def test_the_longest_values_fit_into_every_clouds_tags() -> None:
    encoded = TAGS.encoded()
    assert max(len(value) for value in encoded.values()) <= LONGEST == 60
    assert max(len(key) for key in encoded) <= 60


def test_every_field_has_a_tag() -> None:
    assert set(TAGS.encoded()) == {
        f"{PREFIX}{name}"
        for name in (
            "schema",
            "cluster-id",
            "cluster",
            "repository",
            "owner",
            "token",
            "kind",
            "names",
            "login",
            "ssh-port",
        )
    }


@pytest.mark.parametrize("schema", [None, "", "0", "2"])
def test_instances_of_another_schema_are_not_ours(schema: str | None) -> None:
    tags = TAGS.encoded()
    del tags[f"{PREFIX}schema"]
    if schema is not None:
        tags[f"{PREFIX}schema"] = schema
    assert Tags.decoded(tags) is None


def test_an_instance_whose_tags_were_spoilt_is_ours_nevertheless() -> None:
    spoilt = {f"{PREFIX}names": "compute[001", f"{PREFIX}ssh-port": "ssh"}
    found = Tags.decoded({**TAGS.encoded(), **spoilt})
    assert found == replace(TAGS, names=(), ssh_port=22)


def test_an_instance_that_has_the_schema_only_is_ours_nevertheless() -> None:
    found = Tags.decoded({f"{PREFIX}schema": SCHEMA})
    assert found is not None
    assert (found.cluster_id, found.names, found.ssh_port) == ("", (), 22)


def test_a_list_that_does_not_fit_is_told() -> None:
    assert names_fit(TAGS.names)
    assert not names_fit(TAGS.names[::2])
