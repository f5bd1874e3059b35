"""What a node may ask of an engine, and what is refused before anything is made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aioelasticluster import ConfigurationError, ContainerCloudProvider, NodeSpec

SPEC = NodeSpec(
    kind="compute",
    image_id="any",
    image_user="debian",
    flavor="any",
    security_group="any",
)


def check(**options: Any) -> None:
    ContainerCloudProvider("image").check_options(replace(SPEC, options=options))


def test_what_a_node_may_ask_for() -> None:
    check(
        image="other:1",
        cpus=1.5,
        memory=512,
        volumes=["home:/home", "/data:/data:ro", "scratch:/scratch:rw"],
    )
    check(volumes="home:/home, /data:/data:ro")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"privileged": True}, "no such option"),
        ({"cpus": -1}, "not negative"),
        ({"memory": 1.5}, "whole number"),
        ({"memory": 16}, "64 MiB"),
        ({"volumes": "home"}, "not a full path"),
        ({"volumes": "home:/"}, "not a full path below /"),
        ({"volumes": "./home:/home"}, "neither a volume's name nor a full path"),
        ({"volumes": "home:/home:rx"}, "not a mode"),
        ({"volumes": ["a1:/home", "b1:/home"]}, "two of them"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(
    options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem) as caught:
        check(**options)
    assert caught.value.field in options
    assert caught.value.remedy


def test_user_data_that_do_not_fit_are_refused() -> None:
    spec = replace(SPEC, image_userdata=f"#cloud-config\n# {'x' * 33_000}\n")
    with pytest.raises(ConfigurationError, match="image_userdata"):
        ContainerCloudProvider("image").check_options(spec)
