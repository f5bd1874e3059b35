"""Key pairs: imported, listed, deleted."""

from __future__ import annotations

import base64
import hashlib

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from tests.clouds.ec2.account import KeyPair, new_id
from tests.clouds.ec2.actions import Call, Reply, action
from tests.clouds.ec2.refusals import RefusalError, invalid
from tests.clouds.ec2.selecting import selected
from tests.clouds.ec2.tagging import of_reply, specified

_LONGEST_NAME = 255


@action("ImportKeyPair", "KeyName", "PublicKeyMaterial", "TagSpecifications")
def import_key_pair(call: Call) -> Reply:
    """Take over a public key; the name must be free."""
    name = call.get("KeyName")
    if not 1 <= len(name) <= _LONGEST_NAME or not name.isascii():
        raise invalid(f"Value ({name}) for parameter KeyName is invalid.")
    tags = specified(call, "key-pair")
    kind, material, fingerprint = _read(call.get("PublicKeyMaterial"))
    if name in call.account.key_pairs:
        raise RefusalError(
            "InvalidKeyPair.Duplicate", f"The keypair '{name}' already exists."
        )
    call.permitted()
    pair = KeyPair(new_id("key"), name, kind, fingerprint, material, call.now)
    call.account.key_pairs[name] = pair
    call.account.tags[pair.id] = tags.get("key-pair", {})
    return {
        "KeyFingerprint": fingerprint,
        "KeyName": name,
        "KeyPairId": pair.id,
        "Tags": call.account.tag_list(pair.id),
    }


def _read(given: bytes) -> tuple[str, str, str]:
    """Return a public key's kind, its text without comment, and its fingerprint."""
    try:
        key = serialization.load_ssh_public_key(given.strip())
    except (ValueError, UnsupportedAlgorithm) as fault:
        raise _bad_format() from fault
    text = " ".join(given.decode().split()[:2])
    if isinstance(key, Ed25519PublicKey):
        digest = hashlib.sha256(base64.b64decode(text.split()[1])).digest()
        return "ed25519", text, base64.b64encode(digest).decode()
    if isinstance(key, RSAPublicKey) and key.key_size in (1024, 2048, 4096):
        return "rsa", text, _md5(key)
    raise _bad_format()


def _md5(key: RSAPublicKey) -> str:
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.md5(der, usedforsecurity=False).digest().hex(":")


def _bad_format() -> RefusalError:
    return RefusalError(
        "InvalidKey.Format", "Key is not in valid OpenSSH public key format"
    )


@action("DescribeKeyPairs", "Filters", "IncludePublicKey", "KeyNames", "KeyPairIds")
def describe_key_pairs(call: Call) -> Reply:
    """List key pairs; one unknown name refuses all."""
    pairs = call.account.key_pairs
    by_id = {pair.id: pair for pair in pairs.values()}
    for name in call.get("KeyNames", ()):
        if name not in pairs:
            raise _missing(name)
    for pair_id in call.get("KeyPairIds", ()):
        if pair_id not in by_id:
            raise _missing(pair_id)
    named = {pairs[name].id for name in call.get("KeyNames", ())}
    named |= set(call.get("KeyPairIds", ()))
    shown = [_shown(call, by_id[pair_id]) for pair_id in named or by_id]
    facts = {
        "key-name": lambda pair: pair["KeyName"],
        "key-pair-id": lambda pair: pair["KeyPairId"],
        "fingerprint": lambda pair: pair["KeyFingerprint"],
    }
    return {"KeyPairs": selected(call, shown, facts, of_reply)}


def _missing(name: str) -> RefusalError:
    return RefusalError(
        "InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist"
    )


def _shown(call: Call, pair: KeyPair) -> Reply:
    found: Reply = {
        "KeyPairId": pair.id,
        "KeyName": pair.name,
        "KeyType": pair.kind,
        "KeyFingerprint": pair.fingerprint,
        "CreateTime": pair.created,
        "Tags": call.account.tag_list(pair.id),
    }
    if call.get("IncludePublicKey"):
        found["PublicKey"] = pair.material
    return found


@action("DeleteKeyPair", "KeyName", "KeyPairId")
def delete_key_pair(call: Call) -> Reply:
    """Delete a key pair; one that is not there is success."""
    name, pair_id = call.get("KeyName"), call.get("KeyPairId")
    if not (name or pair_id):
        raise RefusalError(
            "MissingParameter", "The request must contain KeyName or KeyPairId"
        )
    call.permitted()
    pairs = call.account.key_pairs
    for pair in list(pairs.values()):
        if pair.name == name or pair.id == pair_id:
            del pairs[pair.name]
            call.account.tags.pop(pair.id, None)
            return {"Return": True, "KeyPairId": pair.id}
    return {"Return": True}
