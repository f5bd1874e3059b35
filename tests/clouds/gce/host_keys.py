"""The host key that an instance shows when it has booted."""

from __future__ import annotations

from tests.clouds.ec2.host_keys import host_key, public_half
from tests.clouds.gce.instances import Instance


def shown_key(one: Instance) -> tuple[str, str]:
    """Return the kind and the text of an instance's public host key."""
    public = public_half(host_key(one))
    assert public is not None
    kind, key, *_ = public.export_public_key("openssh").decode().split()
    return kind, key
