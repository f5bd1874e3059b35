"""Names and lists of them."""

from __future__ import annotations

from itertools import islice, product

import pytest

from aioelasticluster.errors import ConfigurationError
from aioelasticluster.model.names import (
    check_cluster_name,
    check_kind,
    check_node_name,
    format_hostlist,
    fresh_names,
    host_alias,
    index_of,
    parse_hostlist,
)
from aioelasticluster.model.tags import LONGEST

NAMES = ["a1", "a2", "a3", "a01", "a10", "b1", "login", "x-1-y", "7"]


@pytest.mark.parametrize("length", range(5))
def test_every_list_reads_back_in_its_order(length: int) -> None:
    for names in product(NAMES, repeat=length):
        assert parse_hostlist(format_hostlist(names)) == names


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["login"], "login"),
        (["compute007"], "compute007"),
        (["compute001", "compute002"], "compute[001-002]"),
        (["compute003", "compute007", "compute008"], "compute[003,007-008]"),
        (["compute003", "compute001"], "compute[003,001]"),
        (["compute999", "compute1000"], "compute999,compute1000"),
        (["a1", "b1", "b2"], "a1,b[1-2]"),
    ],
)
def test_lists_are_short(names: list[str], text: str) -> None:
    assert format_hostlist(names) == text


def test_a_whole_batch_fits_into_a_tag() -> None:
    names = [f"compute{index:03d}" for index in range(1, 1001)]
    assert format_hostlist(names) == "compute[001-999],compute1000"
    assert len(format_hostlist(names)) <= LONGEST
    assert parse_hostlist(format_hostlist(names)) == tuple(names)


@pytest.mark.parametrize(
    "text",
    [
        "compute[001",
        "compute001]",
        "compute[]",
        "compute[a-b]",
        "compute[1-2-3]",
        "compute[1,]",
        "compute[-1]",
        "compute[1]x",
        ",compute1",
        "a,,b",
        "a[1-99999999999999]",
    ],
)
def test_what_is_not_a_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        parse_hostlist(text)


def test_freed_indices_are_used_first() -> None:
    taken = {"compute001", "compute003"}
    assert list(islice(fresh_names("compute", taken), 3)) == [
        "compute002",
        "compute004",
        "compute005",
    ]


def test_indices_grow_beyond_three_digits() -> None:
    taken = {f"n{index:03d}" for index in range(1000)}
    assert next(fresh_names("n", taken)) == "n1000"


@pytest.mark.parametrize(
    ("name", "index"), [("compute001", 1), ("a1b22", 22), ("login", 0), ("7", 7)]
)
def test_the_index_is_the_number_at_the_end(name: str, index: int) -> None:
    assert index_of(name) == index


def test_an_alias_names_node_and_cluster() -> None:
    assert host_alias("compute001", "0123") == "compute001.0123"


@pytest.mark.parametrize("name", ["a", "A1", "7", "my-cluster", "x" * 60])
def test_host_names_are_accepted(name: str) -> None:
    check_cluster_name(name)
    check_node_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-a",
        "a-",
        "a_b",
        "a.b",
        "a b",
        "a/b",
        "..",
        "ä",
        "x" * 61,
        "a\n",
        "\N{KELVIN SIGN}",
    ],
)
def test_other_names_are_refused(name: str) -> None:
    for check in (check_cluster_name, check_node_name):
        with pytest.raises(ConfigurationError) as raised:
            check(name)
        assert (raised.value.field, raised.value.value) == ("name", name)
        assert "60" in raised.value.remedy


@pytest.mark.parametrize("kind", ["compute", "gpu-large", "a", "v100-gpu", "c" * 55])
def test_every_node_of_an_accepted_kind_has_a_host_name_that_fits(kind: str) -> None:
    check_kind(kind)
    for index in (1, 999, 99999):
        check_node_name(f"{kind}{index:03d}")


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("compute1", "Try 'compute'"),
        ("", "Try 'compute'"),
        ("42", "Try 'compute'"),
        ("my kind", "Try 'compute'"),
        ("-gpu", "Try 'compute'"),
        ("c" * 56, "Try 'compute'"),
    ],
)
def test_other_kinds_are_refused_with_one_that_works(kind: str, remedy: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        check_kind(kind)
    assert (raised.value.field, raised.value.remedy) == ("kind", remedy)
