"""The user's key pair: which are accepted, and what the others are told."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from aioelasticluster.errors import KeyPairError
from aioelasticluster.ssh.keys import load_client_keys
from tests.ssh.conftest import KeyFiles, write_pair


@pytest.fixture(scope="module")
def rsa() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-rsa", key_size=2048)


@pytest.mark.parametrize("how", ["openssh", "pkcs1-pem", "pkcs8-pem"])
async def test_an_rsa_key_is_read_in_each_format(
    how: str, rsa: asyncssh.SSHKey, tmp_path: Path
) -> None:
    pair = write_pair(tmp_path, "id_rsa", rsa, format_name=how)

    keys = await load_client_keys(pair.public, pair.private)

    assert keys.fingerprint == rsa.get_fingerprint()
    assert keys.public.startswith("ssh-rsa ")
    assert len(keys.public.split()) == 2


@pytest.mark.parametrize("kind", ["ecdsa-sha2-nistp256", "ecdsa-sha2-nistp521"])
async def test_an_ecdsa_key_is_read(kind: str, tmp_path: Path) -> None:
    pair = write_pair(tmp_path, "id_ecdsa", asyncssh.generate_private_key(kind))

    assert (await load_client_keys(pair.public, pair.private)).public.startswith(kind)


@pytest.mark.parametrize(
    "how",
    [
        {"format_name": "openssh", "rounds": 50},
        {"format_name": "pkcs1-pem"},
        {"format_name": "pkcs8-pem"},
    ],
)
async def test_a_passphrase_opens_an_encrypted_key(
    how: dict[str, Any], rsa: asyncssh.SSHKey, tmp_path: Path
) -> None:
    pair = write_pair(tmp_path, "id_rsa", rsa, passphrase="sesame", **how)

    keys = await load_client_keys(pair.public, pair.private, "sesame")

    assert keys.fingerprint == rsa.get_fingerprint()
    assert "sesame" not in repr(keys)
    with pytest.raises(KeyPairError, match="no passphrase was given"):
        await load_client_keys(pair.public, pair.private)
    with pytest.raises(KeyPairError, match="passphrase does not open it"):
        await load_client_keys(pair.public, pair.private, "shut")


async def test_a_home_folder_is_found_and_the_event_loop_goes_on(
    user_key: KeyFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(user_key.private.parent))

    keys = await load_client_keys("~/id_ed25519.pub", "~/id_ed25519")

    assert keys.private_path == str(user_key.private)
    assert keys.public_path == str(user_key.public)


async def test_two_halves_of_different_pairs_are_both_shown(
    user_key: KeyFiles, rsa: asyncssh.SSHKey, tmp_path: Path
) -> None:
    other = write_pair(tmp_path, "id_rsa", rsa)

    with pytest.raises(KeyPairError) as caught:
        await load_client_keys(user_key.public, other.private)

    assert caught.value.field == "ssh_key_priv"
    assert caught.value.value == str(other.private)
    assert rsa.get_fingerprint() in str(caught.value)
    assert asyncssh.read_public_key(user_key.public).get_fingerprint() in str(
        caught.value
    )


async def test_a_missing_half_is_named(user_key: KeyFiles, tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"

    with pytest.raises(KeyPairError, match=r"ssh_key_pub=.*no such file"):
        await load_client_keys(missing, user_key.private)
    with pytest.raises(KeyPairError, match=r"ssh_key_priv=.*no such file"):
        await load_client_keys(user_key.public, missing)


async def test_files_that_are_no_keys_are_refused(
    user_key: KeyFiles, tmp_path: Path
) -> None:
    text = tmp_path / "text"
    text.write_bytes(b"\xff no key at all\n")
    text.chmod(0o600)

    with pytest.raises(KeyPairError, match=r"ssh_key_pub=.*holds no public key"):
        await load_client_keys(text, user_key.private)
    with pytest.raises(KeyPairError, match=r"ssh_key_priv=.*holds no private key"):
        await load_client_keys(user_key.public, text)
    with pytest.raises(KeyPairError, match=r"ssh_key_pub=.*holds a private key"):
        await load_client_keys(user_key.private, user_key.private)
    with pytest.raises(KeyPairError, match=r"ssh_key_pub=.*cannot be read"):
        await load_client_keys(tmp_path, user_key.private)


async def test_a_private_key_that_others_may_read_is_refused_as_ssh_would(
    tmp_path: Path,
) -> None:
    pair = write_pair(tmp_path, "id", asyncssh.generate_private_key("ssh-ed25519"))
    pair.private.chmod(0o644)

    with pytest.raises(KeyPairError, match=r"mode 0644.*chmod 600"):
        await load_client_keys(pair.public, pair.private)


async def test_a_dsa_key_is_refused(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, "id_dsa", asyncssh.generate_private_key("ssh-dss"))

    with pytest.raises(KeyPairError, match="type ssh-dss are not supported"):
        await load_client_keys(pair.public, pair.private)


async def test_the_agent_may_hold_the_private_half(
    agent: str, user_key: KeyFiles
) -> None:
    with pytest.raises(KeyPairError, match=r"does not hold SHA256:.*0 others"):
        await load_client_keys(user_key.public, "")
    add = await asyncio.create_subprocess_exec("ssh-add", "-q", str(user_key.private))
    assert await add.wait() == 0

    keys = await load_client_keys(user_key.public, "")

    assert keys.agent == agent
    assert keys.private_path == ""


async def test_without_an_agent_a_private_key_must_be_named(
    user_key: KeyFiles, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(KeyPairError, match="no ssh-agent is running"):
        await load_client_keys(user_key.public, None)

    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "gone"))
    with pytest.raises(KeyPairError, match="does not answer"):
        await load_client_keys(user_key.public, None)


def test_importing_the_layer_does_not_import_asyncssh() -> None:
    program = (
        "import importlib, pkgutil, sys, aioelasticluster.ssh as layer\n"
        "for module in pkgutil.iter_modules(layer.__path__):\n"
        "    importlib.import_module(f'{layer.__name__}.{module.name}')\n"
        "assert 'asyncssh' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
