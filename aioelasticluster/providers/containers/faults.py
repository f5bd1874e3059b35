"""An engine's errors as ours: by status, then by what the message says."""

from __future__ import annotations

from aiodocker import DockerError

from aioelasticluster.errors import (
    CapacityError,
    InvalidRequestError,
    ProviderError,
    QuotaError,
    TransientError,
    UnauthorizedError,
)

#: What aiodocker calls "no answer came".
NO_ANSWER = 900

#: Under which words an engine refuses for good, though it says that it broke.
_FOR_GOOD = (
    "executable file not found",
    "no such file or directory",
    "not a directory",
    "OCI runtime",
    "container state improper",
    "invalid",
    "permission denied",
    "is not supported",
)

#: Under which words it refuses for now, though it says that the request is bad.
_FOR_NOW = (
    "active endpoints",
    "being used",
    "is in use",
    "is already in progress",
    "is restarting",
)

#: Under which words its machine has no room; in whatever case they are written.
_NO_ROOM = (
    "cannot allocate memory",
    "disk quota exceeded",
    "no space left on device",
    "resource temporarily unavailable",
    "too many open files",
)

_FULL = ("address pool", "no available network", "subnet", "no available IPv4")


def ours(fault: DockerError, request: str) -> ProviderError:
    """Return what an engine's refusal means to our callers."""
    text = " ".join(fault.message.split()) or "refused"
    return _class_of(fault.status, text)(f"{request}: {text}", code=str(fault.status))


def _class_of(status: int, text: str) -> type[ProviderError]:
    if any(words in text.lower() for words in _NO_ROOM):
        return CapacityError
    if any(words in text for words in _FULL):
        return QuotaError
    if status == 401 or (status == 403 and "denied" in text):
        return UnauthorizedError
    if any(words in text for words in _FOR_NOW):
        return TransientError
    if status >= 500 and not any(words in text for words in _FOR_GOOD):
        return TransientError
    return InvalidRequestError
