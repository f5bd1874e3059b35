"""What nodes may ask of a container engine, checked before one is asked."""

from __future__ import annotations

import pytest

from aioelasticluster.errors import ConfigurationError
from aioelasticluster.model.records import NodeSpec
from aioelasticluster.providers.containers.options import ContainerOptions


def spec(**options: object) -> NodeSpec:
    return NodeSpec(
        kind="compute",
        image_id="image",
        image_user="debian",
        flavor="small",
        security_group="default",
        options=options,
    )


def test_devices_and_capabilities_are_lists_or_text_with_commas() -> None:
    given = spec(devices="/dev/fuse", capabilities=["DAC_READ_SEARCH", "SYS_PTRACE"])
    options = ContainerOptions.of(given)
    assert options.devices == ("/dev/fuse",)
    assert options.capabilities == ("DAC_READ_SEARCH", "SYS_PTRACE")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": "fuse"}, r"devices.*'fuse'.*/dev/fuse"),
        ({"capabilities": "CAP_SYS_PTRACE"}, r"CAP_SYS_PTRACE.*without CAP_"),
        ({"capabilities": "sys_ptrace"}, r"capabilities.*sys_ptrace"),
    ],
)
def test_what_is_neither_is_named_with_the_remedy(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ContainerOptions.of(spec(**options))
