"""User-data: our cloud-config with the host key, merged with the user's own.

JSON is YAML, so our part needs no YAML library. Where the user brings user-data too,
both travel as the parts of one MIME message, which cloud-init takes apart.
"""

from __future__ import annotations

import json
from email.message import EmailMessage

from aioelasticluster.errors import ConfigurationError

#: What cloud-init calls the kinds of user-data that start with these marks.
_KINDS = {
    "#cloud-config": "cloud-config",
    "#!": "x-shellscript",
    "#include": "x-include-url",
    "#cloud-boothook": "cloud-boothook",
    "#part-handler": "part-handler",
}

#: Longest host keys (characters): ed25519, in OpenSSH's format.
PRIVATE_KEY, PUBLIC_KEY = 420, 100


def cloud_config(private_host_key: str, public_host_key: str) -> str:
    """Return the cloud-config that makes a host key ours from the first boot."""
    config = {
        "ssh_deletekeys": True,
        "ssh_keys": {
            "ed25519_private": private_host_key,
            "ed25519_public": public_host_key,
        },
    }
    return "#cloud-config\n" + json.dumps(config, indent=1) + "\n"


def merged(ours: str, theirs: str) -> str:
    """Merge the user's user-data into ours; the parts keep their own meaning."""
    if not ours or not theirs.strip():
        return ours or theirs
    message = EmailMessage()
    message["Content-Type"] = "multipart/mixed"
    for index, text in enumerate((ours, theirs)):
        part = EmailMessage()
        part.set_content(text, subtype=_kind_of(text), cte=_transfer_of(text))
        part.add_header(
            "Content-Disposition", "attachment", filename=f"part-{index:03d}"
        )
        message.attach(part)
    # The user's lists (runcmd, packages …) add to ours instead of replacing them.
    message["Merge-Type"] = "list(append)+dict(recurse_array)+str()"
    return message.as_string()


def check_user_data(text: str) -> None:
    """Raise `ConfigurationError` for user-data that cloud-init would not know."""
    if text.strip() and not text.startswith(tuple(_KINDS)):
        first = text.splitlines()[0][:40]
        raise ConfigurationError(
            "image_userdata",
            first,
            "user-data must say what it is in its first line",
            f"Begin with one of {', '.join(_KINDS)}",
        )


def longest_merged(theirs: str) -> int:
    """Return how many bytes the user's user-data takes, merged with ours or not."""
    ours = cloud_config("x" * PRIVATE_KEY + "\n" * 8, "x" * PUBLIC_KEY)
    return len(merged(ours, theirs).encode())


def _transfer_of(text: str) -> str:
    """Return how to encode a part: as it is, where mail may carry it so."""
    short = all(len(line) < 998 for line in text.splitlines())
    return "7bit" if short and text.isascii() and "\r" not in text else "base64"


def _kind_of(text: str) -> str:
    return next(kind for mark, kind in _KINDS.items() if text.startswith(mark))
