"""The key pair that instances are launched with."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from aioelasticluster.errors import InvalidRequestError
from aioelasticluster.providers.base import Preparation
from aioelasticluster.providers.ec2.calls import Calls
from aioelasticluster.providers.ec2.listing import wanted
from aioelasticluster.providers.ec2.naming import own_name, tags_for
from aioelasticluster.providers.key_pairs import blob, pair_of


async def found_key(calls: Calls, preparation: Preparation) -> str:
    """Return the key pair that holds the public key, "" if there is none yet.

    Raises `InvalidRequestError` if the name is taken by another key, or for a kind
    of key that EC2 does not take.
    """
    name = preparation.key_name
    _check_kind(preparation)
    mine = own_name(name, preparation.cluster_id)
    answer = await calls(
        "DescribeKeyPairs",
        Filters=[wanted("key-name", name, mine)],
        IncludePublicKey=True,
    )
    listed = {pair["KeyName"]: pair for pair in answer.get("KeyPairs", ())}
    return pair_of(
        preparation,
        listed,
        (mine, name),
        partial(_holds, preparation.public_key),
        whose="EC2's",
        fingerprint="KeyFingerprint",
    )


async def import_key(calls: Calls, preparation: Preparation) -> str:
    """Import the public key under the cluster's own name; repeating it is safe."""
    name = own_name(preparation.key_name, preparation.cluster_id)
    try:
        await calls(
            "ImportKeyPair",
            KeyName=name,
            PublicKeyMaterial=preparation.public_key.strip().encode(),
            TagSpecifications=[tags_for("key-pair", preparation)],
        )
    except InvalidRequestError as error:
        if error.code != "InvalidKeyPair.Duplicate":
            raise
        return await found_key(calls, preparation)  # a lost answer's repeat
    return name


def _check_kind(preparation: Preparation) -> None:
    kind = preparation.public_key.split(maxsplit=1)[0]
    if kind not in ("ssh-ed25519", "ssh-rsa"):
        raise InvalidRequestError(
            f"ssh_key_pub: EC2 takes no keys of type {kind}: "
            "give an ed25519 or RSA key pair"
        )


def _holds(public_key: str, pair: Mapping[str, Any]) -> bool:
    """Whether a key pair is this key; not every endpoint shows the key itself."""
    if shown := pair.get("PublicKey"):
        return blob(shown) == blob(public_key)
    return pair.get("KeyFingerprint", "").rstrip("=") in fingerprints(public_key)


def fingerprints(public_key: str) -> frozenset[str]:
    """Return what EC2 may call an imported key's fingerprint.

    It is the MD5 of an RSA key's DER form, and the SHA-256 of an ed25519 key.
    """
    import asyncssh

    key = asyncssh.import_public_key(public_key)
    digest = key.get_fingerprint("sha256").removeprefix("SHA256:")
    return frozenset(
        {digest, f"SHA256:{digest}", _md5(key.export_public_key("pkcs8-der"))}
    )


def _md5(data: bytes) -> str:
    import hashlib

    text = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return ":".join(text[start : start + 2] for start in range(0, len(text), 2))
