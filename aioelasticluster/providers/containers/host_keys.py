"""A container's public host keys, read from its disk over the engine's own channel."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence

from aioelasticluster.providers.containers.calls import Calls, NotThereError
from aioelasticluster.providers.containers.naming import INDEX, TOKEN, instance_of

_KINDS = ("ed25519", "ecdsa", "rsa")

#: What our own scripts leave: when they have removed all that another node may have
#: left in the image, and when the first boot has made the keys.
_LAID_OUT = "/var/lib/aioelasticluster/laid-out-{instance}"
_BOOTED = "/var/lib/aioelasticluster/booted"

#: What cloud-init leaves.
_FINISHED = "/var/lib/cloud/instances/{token}/boot-finished"


async def host_keys_of(calls: Calls, id: str) -> Sequence[str]:
    """Return a container's public host keys; none where there are none yet.

    Those that its image may have do not count: they are replaced at the first boot.
    """
    if not await _has_booted(calls, id):
        return ()
    found = [await _public_half(calls, id, kind) for kind in _KINDS]
    return [key for key in found if key]


async def _has_booted(calls: Calls, id: str) -> bool:
    """Whether its own first boot is over, not that of a node whose image it runs."""
    try:
        labels = (await calls.get(f"containers/{id}/json"))["Config"]["Labels"]
    except NotThereError:
        return False
    own = instance_of(labels[TOKEN], labels[INDEX])
    if await _read(calls, id, _LAID_OUT.format(instance=own)) is None:
        return False
    for path in (_BOOTED, _FINISHED.format(token=labels[TOKEN])):
        if await _read(calls, id, path) is not None:
            return True
    return False


async def _public_half(calls: Calls, id: str, kind: str) -> str:
    text = await _read(calls, id, f"/etc/ssh/ssh_host_{kind}_key.pub")
    words = (text or "").split()
    return " ".join(words[:2]) if len(words) >= 2 else ""


async def _read(calls: Calls, id: str, path: str) -> str | None:
    """Return what a file holds, None if it is not there."""
    try:
        packed = await calls.get(f"containers/{id}/archive", path=path)
    except NotThereError:
        return None
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        member = archive.next()
        file = archive.extractfile(member) if member is not None else None
        return file.read().decode(errors="replace") if file else ""
